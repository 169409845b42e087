/* SPDX-License-Identifier: Apache-2.0 */
/* Endings: why a connection ended, as one table, and the record that each ended connection leaves
 * behind. Pure. Log, metrics, JSON, documentation and manual page take id, who, phase and words
 * from this table.
 *
 * Two questions decide the row. Who: on whose side the reason lies ("network": on the path between,
 * as far as anyone can see). What: the first event that could not be undone; whatever follows from
 * it is not recorded. */
#ifndef HF_CAUSE_ENDING_H
#define HF_CAUSE_ENDING_H

#include "base/slice.h"
#include "base/time.h"

#include <stdint.h>

/* The stages of a connection in their order; a cause belongs to the one in which it ends
 * connections. accept     before the HTTP request: PROXY header, TLS handshake  the client's
 * request, and the gateway's answer to it upstream   reaching the backend, and the backend's answer
 *   open       after the 101
 *   any        all of them
 *
 * The table. row(enum name, id, who, phase, what happened, what to do). Add rows at the end of a
 * stage; an id is public and never changes its meaning. */
#define HF_CAUSE_TABLE(row)                                                                        \
    /* accept */                                                                                   \
    row(PROXY_HEADER_BAD, proxy_header_bad, network, accept,                                       \
        "The connection did not begin with a valid PROXY protocol header, which this listener "    \
        "expects.",                                                                                \
        "Switch the PROXY protocol on in the load balancer in front, or off on this listener, "    \
        "and "                                                                                     \
        "let nobody else connect to it.")                                                          \
        row(TLS_FAILED, tls_failed, client, accept, "The TLS handshake with the client failed.",   \
            "Look at the TLS error in the record: an untrusted or expired certificate, a host "    \
            "name "                                                                                \
            "that it does not cover, or plain HTTP sent to a TLS port.") /* handshake */           \
        row(HANDSHAKE_TIMEOUT, handshake_timeout, client, handshake,                               \
            "The client did not send its whole handshake request in time (408).",                  \
            "Single cases are scanners and lost phones; many point to a slow or lossy network, "   \
            "or to "                                                                               \
            "a proxy that opens connections ahead of use.")                                        \
            row(HANDSHAKE_BAD, handshake_bad, client, handshake,                                   \
                "The client's request was not valid HTTP, or not a valid WebSocket handshake "     \
                "(400).",                                                                          \
                "The record's reason names the fault; a proxy that drops or rewrites Upgrade, "    \
                "Connection "                                                                      \
                "or Sec-WebSocket headers is the usual source.")                                   \
                row(NOT_WEBSOCKET, not_websocket, client, handshake,                               \
                    "A plain HTTP request came to a WebSocket address (426).",                     \
                    "If a WebSocket client was meant, a proxy in front removed the Upgrade "       \
                    "header: let it "                                                              \
                    "pass Upgrade and Connection over HTTP/1.1.")                                  \
                    row(NO_ROUTE, no_route, client, handshake,                                     \
                        "No route of the configuration takes this host and path (404).",           \
                        "Compare the path in the record, with its slash at the end, with the "     \
                        "routes.") row(HOST_REFUSED, host_refused, client, handshake,              \
                                       "The Host header is not among the allowed hosts (403).",    \
                                       "Add the host to the allowed ones, or let the proxy in "    \
                                       "front pass the original Host.")                            \
                        row(ORIGIN_REFUSED, origin_refused, client, handshake,                     \
                            "The page's Origin is not among the allowed origins (403).",           \
                            "Add the origin in the record, with its scheme and port, to the "      \
                            "allowed ones if it is "                                               \
                            "yours.") row(AUTH_MISSING, auth_missing, client, handshake,           \
                                          "The request carried no credentials where the route "    \
                                          "expects them (401).",                                   \
                                          "Check that the client sends its token in the place "    \
                                          "that the route names, and that no "                     \
                                          "proxy drops it.")                                       \
                            row(AUTH_INVALID, auth_invalid, client, handshake,                     \
                                "The credentials were malformed, expired, or not signed with a "   \
                                "known key (401).",                                                \
                                "The record's reason says which; look at the token's times, the "  \
                                "clocks and the key.")                                             \
                                row(AUTH_REFUSED, auth_refused, client, handshake,                 \
                                    "The credentials are valid, but do not permit this route "     \
                                    "(403).",                                                      \
                                    "Compare the token's claims with what the route requires, or " \
                                    "ask the service that "                                        \
                                    "decides.") row(AUTH_UNAVAILABLE, auth_unavailable, backend,   \
                                                    handshake,                                     \
                                                    "The service that checks credentials failed "  \
                                                    "or did not answer in time (502, 504).",       \
                                                    "Look at that service and at the time that "   \
                                                    "it is given; clients will try again.")        \
                                    row(CONNECTION_LIMIT, connection_limit, gateway, handshake,    \
                                        "A limit on open connections was reached (429).",          \
                                        "See whether one user opens too many at once, for "        \
                                        "example by not closing the old one "                      \
                                        "before it reconnects; else raise the limit.")             \
                                        row(HANDSHAKE_RATE, handshake_rate, gateway, handshake,    \
                                            "Handshakes came faster than the limit allows (429).", \
                                            "Look for a client that reconnects without backoff; "  \
                                            "many users behind one address need a "                \
                                            "higher limit.")                                       \
                                            row(CLIENT_GONE, client_gone, client, handshake,       \
                                                "The client left before its handshake was "        \
                                                "answered.",                                       \
                                                "If there are many, the answer takes longer than " \
                                                "the clients wait: look at the backend's "         \
                                                "and the authorization's times.") /* upstream */   \
        row(BACKEND_REFUSED, backend_refused, backend, upstream,                                   \
            "The backend answered the handshake with something other than 101, which the client "  \
            "was "                                                                                 \
            "given.",                                                                              \
            "The status is in the record: 403 is often the application's own host, origin or "     \
            "token "                                                                               \
            "check, 404 its path.")                                                                \
            row(BACKEND_UNREACHABLE, backend_unreachable, backend, upstream,                       \
                "No connection to the backend could be made: name, connect or TLS failed (502).",  \
                "Check that the backend runs and listens at the address in the record.")           \
                row(BACKEND_HANDSHAKE, backend_handshake, backend, upstream,                       \
                    "The backend's answer to the handshake was not valid (502).",                  \
                    "Check that the upstream address is a WebSocket server and not a proxy or "    \
                    "another "                                                                     \
                    "protocol; the record's reason names the fault.")                              \
                    row(BACKEND_SLOW, backend_slow, backend, upstream,                             \
                        "The backend did not finish the handshake in time (504).",                 \
                        "Look for work done before the application accepts, and for workers that " \
                        "are all busy; "                                                           \
                        "else raise upstream_timeout.") /* open: the client's side */              \
        row(CLIENT_CLOSE, client_close, client, open,                                              \
            "The client closed the connection with a Close frame.",                                \
            "Nothing, when the code is 1000 or 1001; other codes are the client application's "    \
            "own.") row(CLIENT_FIN, client_fin, client, open,                                      \
                        "The client's side ended TCP without a Close frame.",                      \
                        "Common when an app is ended or a tab is killed; at a regular age it is "  \
                        "a proxy's timer "                                                         \
                        "on the way.") row(CLIENT_RESET, client_reset, client, open,               \
                                           "The client's side reset the connection.",              \
                                           "A crash, a firewall or NAT that forgot the "           \
                                           "connection, or a proxy that dropped it: "              \
                                           "compare held and silent times with its timers.")       \
            row(CLIENT_SILENT, client_silent, network, open,                                       \
                "A session on long polls was not polled for twice the time of a poll.",            \
                "The device slept or lost its network, or a page in the background was stopped; "  \
                "the client should come back by itself.") row(CLIENT_HEARTBEAT, client_heartbeat,  \
                                                              network, open,                       \
                                                              "The client answered no ping in "    \
                                                              "time and sent nothing else.",       \
                                                              "The device slept, lost its "        \
                                                              "network, or changed it; the "       \
                                                              "client should reconnect "           \
                                                              "by "                                \
                                                              "itself. Many at once point to the " \
                                                              "network between.")                  \
                row(CLIENT_TIMEOUT, client_timeout, network, open,                                 \
                    "TCP gave the client up: what was sent was not acknowledged in time.",         \
                    "The path to the client broke without a word, as when a phone changes "        \
                    "networks; the "                                                               \
                    "client should reconnect by itself.")                                          \
                    row(CLIENT_STUCK, client_stuck, client, open,                                  \
                        "The client took nothing of what was waiting for it for the whole send "   \
                        "timeout.",                                                                \
                        "Look for a client that stopped reading, such as a page held in a "        \
                        "debugger or in the "                                                      \
                        "background, or send it less.")                                            \
                        row(CLIENT_PROTOCOL, client_protocol, client, open,                        \
                            "The client broke the WebSocket protocol (1002).",                     \
                            "The record's reason names the rule; look for a faulty library, or a " \
                            "proxy that alters "                                                   \
                            "the stream.")                                                         \
                            row(MESSAGE_TOO_BIG, message_too_big, client, open,                    \
                                "A message of the client was larger than the limit (1009).",       \
                                "Send less at once, or raise the limit of the route.")             \
                                row(FRAME_TOO_BIG, frame_too_big, client, open,                    \
                                    "A frame of the client was larger than the limit (1009).",     \
                                    "Let the client split its messages into smaller frames, or "   \
                                    "raise the limit of the route.")                               \
                                    row(BAD_UTF8, bad_utf8, client, open,                          \
                                        "A text message of the client was not UTF-8 (1007).",      \
                                        "Send binary data as binary messages.")                    \
                                        row(MESSAGE_RATE, message_rate, client, open,              \
                                            "The client sent more messages than the limit "        \
                                            "allows, and the route closes then (1008).",           \
                                            "Slow the client down or raise the limit; the "        \
                                            "default, to delay, loses no connection.")             \
                                            row(TOKEN_EXPIRED, token_expired, client, open,        \
                                                "The client's token expired while it was "         \
                                                "connected (4401).",                               \
                                                "Let the client fetch a new token and reconnect, " \
                                                "or let tokens live longer.") /* open: the         \
                                                                                 backend's side */ \
        row(BACKEND_CLOSE, backend_close, backend, open,                                           \
            "The backend closed the connection with a Close frame.",                               \
            "The code and reason in the record are the application's own; 1011 is often an "       \
            "exception "                                                                           \
            "in its log, 1012 a restart.")                                                         \
            row(BACKEND_FIN, backend_fin, backend, open,                                           \
                "The backend's side ended TCP without a Close frame.",                             \
                "Look for a worker that ended, was restarted or killed at that time, or for a "    \
                "proxy's "                                                                         \
                "timer between gateway and backend.")                                              \
                row(BACKEND_RESET, backend_reset, backend, open,                                   \
                    "The backend's side reset the connection.",                                    \
                    "Look for a worker that crashed or ran out of memory at that time.")           \
                    row(BACKEND_HEARTBEAT, backend_heartbeat, backend, open,                       \
                        "The backend answered no ping in time and sent nothing else.",             \
                        "Look for an event loop that is blocked by long work, or a machine that "  \
                        "is gone.") row(BACKEND_TIMEOUT, backend_timeout, network, open,           \
                                        "TCP gave the backend up: what was sent was not "          \
                                        "acknowledged in time.",                                   \
                                        "Look at the network between gateway and backend, and "    \
                                        "whether its machine is gone.")                            \
                        row(BACKEND_STUCK, backend_stuck, backend, open,                           \
                            "The backend took nothing of what was waiting for it for the whole "   \
                            "send timeout.",                                                       \
                            "Look for a handler that stopped reading its messages.")               \
                            row(BACKEND_PROTOCOL, backend_protocol, backend, open,                 \
                                "The backend broke the WebSocket protocol: a bad frame, or a "     \
                                "Close that is not allowed.",                                      \
                                "The record's reason names the rule; look at the backend's "       \
                                "WebSocket library.")                                              \
                                row(HOLD_EXPIRED, hold_expired, backend, open,                     \
                                    "The backend was lost, and no connection to a backend could "  \
                                    "be made again while "                                         \
                                    "the client was held (1012).",                                 \
                                    "The record's reason says how the last attempt failed; look "  \
                                    "why the backend did "                                         \
                                    "not come back, or raise hold.time beyond the time that a "    \
                                    "restart takes.")                                              \
                                    row(BACKEND_GONE, backend_gone, backend, open,                 \
                                        "The backend was lost, and the one that came back did "    \
                                        "not take the client as "                                  \
                                        "before: it refused the handshake or chose another "       \
                                        "subprotocol (1012).",                                     \
                                        "The record's reason says which; 401 and 403 are often a " \
                                        "token that has expired "                                  \
                                        "meanwhile, 404 a path that a new version no longer "      \
                                        "serves.") /* open: the gateway itself */                  \
        row(SESSION_EXPIRED, session_expired, network, open,                                       \
            "The session's client was lost and did not come back within the window.",              \
            "Clients that went away for good end like this; when many come back too late, raise "  \
            "session.window, and look at how soon they try again.")                                \
            row(SESSION_OVERFLOW, session_overflow, gateway, open,                                 \
                "What waited for the session's client grew beyond its limit, or a backend that "   \
                "was not read any more gave up.",                                                  \
                "See whether the client was away or too slow; raise session.park_bytes or "        \
                "session.memory when it should be waited for.")                                    \
                row(SESSION_LIMIT, session_limit, gateway, open,                                   \
                    "More sessions of one principal or address waited for their clients than the " \
                    "limit allows; this one had waited longest.",                                  \
                    "See whether clients forget their sessions instead of resuming them; else "    \
                    "raise session.parked_per_principal or session.parked_per_address.")           \
                    row(SESSION_POISON, session_poison, network, open,                             \
                        "Ten connections of the session in a row were lost while the same "        \
                        "message was being sent.",                                                 \
                        "The record tells how many messages the client had; look at the next "     \
                        "one, and at what on the way dislikes it.")                                \
                        row(SESSION_STALE, session_stale, client, handshake,                       \
                            "A connection wanted to resume with a token or an attempt that is "    \
                            "older than one that was seen.",                                       \
                            "A connection that was delayed on the way ends like this; many point " \
                            "to a client that stores tokens, or to somebody who replays them.")    \
                            row(DRAIN, drain, gateway, open,                                       \
                                "The gateway was asked to shut down and let its connections go "   \
                                "in order (1012).",                                                \
                                "Nothing: clients reconnect to another instance, or to the new "   \
                                "one.")                                                            \
                                row(STOP, stop, gateway, any,                                      \
                                    "The gateway was stopped before its connections had gone.",    \
                                    "Give the drain more time, or let the service manager wait "   \
                                    "longer before it "                                            \
                                    "insists.")                                                    \
                                    row(OUT_OF_RESOURCES, out_of_resources, gateway, any,          \
                                        "The gateway had no memory or no descriptors left for "    \
                                        "the connection (503).",                                   \
                                        "Raise the memory or the limit on open files, or add an "  \
                                        "instance.")                                               \
                                        row(INTERNAL, internal, gateway, any,                      \
                                            "The gateway met a state that it should not be in.",   \
                                            "Please report it with the record and the log lines "  \
                                            "around it.")

enum hf_cause {
    HF_CAUSE_NONE = 0, /* no ending yet; in no list */
#define HF_CAUSE_ENUM(name, id, who, phase, sentence, advice) HF_CAUSE_##name,
    HF_CAUSE_TABLE(HF_CAUSE_ENUM)
#undef HF_CAUSE_ENUM
};

/* One more than the last cause: the size of an array that is indexed by cause. */
#define HF_CAUSE_ONE(name, id, who, phase, sentence, advice) +1
enum { HF_CAUSE_COUNT = 1 HF_CAUSE_TABLE(HF_CAUSE_ONE) };
#undef HF_CAUSE_ONE

/* HF_CAUSE_COUNT; the causes are those from 1 to below it. */
unsigned hf_cause_count(void);
/* All texts are static. NONE has "none" in place of id, who and phase, and an empty sentence and
 * advice. */
const char *hf_cause_id(enum hf_cause cause);
/* "client", "backend", "gateway" or "network". */
const char *hf_cause_who(enum hf_cause cause);
/* "accept", "handshake", "upstream", "open" or "any". */
const char *hf_cause_phase(enum hf_cause cause);
/* What happened, for people: whole sentences. */
const char *hf_cause_sentence(enum hf_cause cause);
/* What to do about it. */
const char *hf_cause_advice(enum hf_cause cause);
/* NONE when no cause has this id. */
enum hf_cause hf_cause_from_id(struct hf_slice id);

/* The record of one ended connection. Zeroed, with rtt_us set to UINT32_MAX, it says that nothing
 * happened. The leg at fault is the client's, unless who is "backend" or the cause is the backend's
 * timeout. */
struct hf_ending {
    enum hf_cause cause;
    uint16_t code; /* the close code that the client saw or sent; 1006: no Close passed there;
                    * 0: it never was open */
    uint16_t
        code_in; /* of the first Close that came to the gateway, from either leg; 0: none came */
    uint16_t
        code_out; /* of the first Close that the gateway sent, on either leg; 0: it sent none */
    bool open; /* the WebSocket was open: tells the phase of a cause that ends connections in any */
    uint16_t http; /* status of the answer to the handshake when it was refused; 0: none was sent */
    char reason[124];  /* a Close's reason or what was wrong; NUL at the end, always; may be a
                          stranger's text */
    int error;         /* errno of the leg at fault; 0: none */
    hf_time held;      /* from accept to the ending */
    hf_time silent_rx; /* at the ending: since the last byte from the leg at fault */
    hf_time silent_tx; /* ... and to it */
    uint32_t rtt_us;   /* last round trip of a ping on the leg at fault; UINT32_MAX: none */
    uint64_t unacked;  /* bytes to the leg at fault that its TCP had not acknowledged */
    uint64_t messages_client;  /* whole messages from the client */
    uint64_t messages_backend; /* ... and from the backend */
    uint64_t bytes_client;     /* bytes of frames from the client */
    uint64_t bytes_backend;    /* ... and from the backend */
};

#endif
