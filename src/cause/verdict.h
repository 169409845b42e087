/* SPDX-License-Identifier: Apache-2.0 */
/* The words of a verdict, which catalogue, survival, infer and tools share. */
#ifndef HF_CAUSE_VERDICT_H
#define HF_CAUSE_VERDICT_H

#include "base/slice.h"

enum hf_verdict_class {
    HF_CLASS_NONE,           /* nothing ended that should not have */
    HF_CLASS_IDLE_TIMER,     /* value: seconds without what resets it */
    HF_CLASS_LIFETIME,       /* value: seconds from the open, whatever is sent */
    HF_CLASS_MESSAGE_LIMIT,  /* value: client messages after which it died, the last one included */
    HF_CLASS_SIZE_LIMIT,     /* value: bytes: the largest message that passes */
    HF_CLASS_RESTART,        /* value: seconds between two; absent while one alone was seen */
    HF_CLASS_PONG_TIMEOUT,   /* value: seconds from the open (or from the last pong that counted) to
                              * the end   of a client whose pongs do not arrive: the server's interval
                              * and timeout together */
    HF_CLASS_BLOCKED_SERVER, /* value: seconds from the last sign of life to the end or the return
                              */
    HF_CLASS_NETWORK,        /* loss, a black hole, a path that kills; no value */
    HF_CLASS_HANDSHAKE,      /* it never opens; no value */
    HF_CLASS_INCONCLUSIVE,   /* the evidence does not separate the candidates; no value */
    HF_CLASSES,
};
/* none idle_timer lifetime message_limit size_limit restart pong_timeout blocked_server network
 * handshake inconclusive */
const char *hf_verdict_class_text(enum hf_verdict_class class);
/* HF_CLASSES when it is none of them. */
enum hf_verdict_class hf_verdict_class_from(struct hf_slice text);
/* "s", "messages", "bytes" or "" */
const char *hf_verdict_unit(enum hf_verdict_class class);

#endif
