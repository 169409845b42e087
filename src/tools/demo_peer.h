/* SPDX-License-Identifier: Apache-2.0 */
/* One end of a WebSocket over a plain stream, client or server: what the demo's clients and its
 * backend are made of. Like every WebSocket end it answers pings; it never pings by itself. */
#ifndef HF_TOOLS_DEMO_PEER_H
#define HF_TOOLS_DEMO_PEER_H

#include "io/io.h"
#include "ws/endpoint.h"
#include "ws/handshake.h"

enum demo_peer_state {
    DEMO_PEER_IDLE,
    DEMO_PEER_SHAKING, /* from connect or accept to the 101 */
    DEMO_PEER_OPEN,
    DEMO_PEER_ENDED,
};

struct demo_peer;

struct demo_peer_handler {
    void (*opened)(struct demo_peer *peer);
    void (*message)(struct demo_peer *peer, struct hf_slice text);
    void (*pinged)(struct demo_peer *peer); /* and answered */
    /* Once. code is the peer's, or 1006 when no Close came; how is static: what ended the TCP
     * connection. */
    void (*ended)(struct demo_peer *peer, uint16_t code, const char *how);
};

struct demo_peer {
    const struct demo_peer_handler *handler;
    enum demo_peer_state state;
    bool client;
    struct hf_stream *stream;     /* NULL when it is not connected */
    struct hf_endpoint *endpoint; /* NULL until init_* */
    struct hf_buffer head;        /* of the HTTP head that has not gone out */
    char key[HF_WS_KEY_CHARS];
    char target[256]; /* that an accepted one asked for, from `opened` on; cut when longer */
    uint16_t code;    /* of the Close that came; 0: none yet */
};

/* Starts to connect. The handler's functions come on later turns. */
HF_MUST_USE enum hf_status demo_peer_connect(struct demo_peer *peer, struct hf_loop *loop,
                                             const struct hf_address *address, uint64_t seed,
                                             const struct demo_peer_handler *handler);
/* Takes an accepted stream over, also on failure. */
HF_MUST_USE enum hf_status demo_peer_accept(struct demo_peer *peer, struct hf_stream *stream,
                                            uint64_t seed, const struct demo_peer_handler *handler);
/* Sends a text message of at most 120 bytes; nothing unless the peer is open. */
void demo_peer_say(struct demo_peer *peer, const char *format, ...) HF_PRINTF(2, 3);
/* Sends a text message of any size up to 64 KiB; nothing unless the peer is open. */
void demo_peer_send(struct demo_peer *peer, struct hf_slice text);
/* Begins the closing handshake with 1000. */
void demo_peer_goodbye(struct demo_peer *peer);
/* Closes without a callback. Fit for a zeroed peer. */
void demo_peer_fini(struct demo_peer *peer);

#endif
