/* SPDX-License-Identifier: Apache-2.0 */
/* How connections end as the library sees it, where no gateway says it better: one table, from
 * which records take cause and who; the manual page lists it. */
#ifndef HF_CLIENT_CAUSE_H
#define HF_CLIENT_CAUSE_H

/* row(enum name, id, who, what happened). An id is public and never changes its meaning. */
#define HF_LOSS_TABLE(row)                                                                         \
    row(NO_URL, no_url, client, "the application gave no endpoint")                                \
        row(URL_BAD, url_bad, client, "the endpoint or the proxy cannot be read") row(             \
            NAME_UNKNOWN, name_unknown, network,                                                   \
            "the name has no address, or no server answered") row(REFUSED, connection_refused,     \
                                                                  network,                         \
                                                                  "nobody listens at the address") \
            row(UNREACHABLE, unreachable, network, "there is no way to the address") row(          \
                CONNECT_TIMEOUT, connect_timeout, network,                                         \
                "the handshake was not done in time") row(PROXY_REFUSED, proxy_refused, network,   \
                                                          "the proxy did not make the connection") \
                row(TLS_FAILED, tls_failed, network, "TLS failed: the reason names the fault")     \
                    row(HANDSHAKE_REFUSED, handshake_refused, backend,                             \
                        "the handshake was refused with a status")                                 \
                        row(HANDSHAKE_BAD, handshake_bad, network,                                 \
                            "what answered is no WebSocket") row(ENDED, connection_ended, network, \
                                                                 "TCP was ended without a Close")  \
                            row(RESET, connection_reset, network,                                  \
                                "TCP was reset") row(TIMEOUT, connection_timeout, network,         \
                                                     "TCP gave the other side up")                 \
                                row(BROKEN, connection_broken, network,                            \
                                    "TCP or TLS failed: the reason "                               \
                                    "names the fault") row(HEARTBEAT, heartbeat, network,          \
                                                           "nothing was heard in time")            \
                                    row(HELLO_TIMEOUT, hello_timeout, network,                     \
                                        "the gateway's first message did not come in time")        \
                                        row(NO_GATEWAY, no_gateway, network,                       \
                                            "no gateway answered where the session's is expected") \
                                            row(PROTOCOL, protocol, gateway,                       \
                                                "the other side broke the protocol")               \
                                                row(BACKEND_CLOSE, backend_close, backend,         \
                                                    "the backend closed: code and reason are its " \
                                                    "own") row(CLOSED, closed, client,             \
                                                               "the application closed")           \
                                                    row(CLOSE_TIMEOUT, close_timeout, gateway,     \
                                                        "the Close was not answered in time")      \
                                                        row(GOAWAY, goaway, gateway,               \
                                                            "the gateway asked to attach again")   \
                                                            row(OUT_OF_MEMORY, out_of_memory,      \
                                                                client, "there was no memory")     \
                                                                row(OUT_OF_DESCRIPTORS,            \
                                                                    out_of_descriptors, client,    \
                                                                    "there was no descriptor")

enum hf_loss {
    HF_LOSS_NONE = 0,
#define HF_LOSS_ENUM(name, id, who, what) HF_LOSS_##name,
    HF_LOSS_TABLE(HF_LOSS_ENUM)
#undef HF_LOSS_ENUM
        HF_LOSS_COUNT
};

/* Static texts; NONE has "none". */
const char *hf_loss_id(enum hf_loss loss);
const char *hf_loss_who(enum hf_loss loss);
const char *hf_loss_what(enum hf_loss loss);
/* PROTOCOL when there is none of this id. */
enum hf_loss hf_loss_from_id(const char *id);

#endif
