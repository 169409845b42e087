/* SPDX-License-Identifier: Apache-2.0 */
/* The book of connections: events of many files, in the order of their times, are put together to
 * ended connections. Three things have to be paired: Daphne's WSCONNECT and WSDISCONNECT (by
 * address), Uvicorn's `accepted` and `connection closed` (which names nothing: only what is certain
 * is paired), and nginx's access line with the line of its error log that says why. Bounded: beyond
 * the named maxima the oldest are given up and counted. Pure. */
#ifndef HF_LOGS_BOOK_H
#define HF_LOGS_BOOK_H

#include "base/alloc.h"
#include "base/status.h"
#include "logs/event.h"

#define HF_LOGS_OPEN_MAX 131072 /* connections that are open at a time, over all files */
#define HF_LOGS_HINTS_MAX 65536 /* reasons that wait for their access line */
#define HF_LOGS_GROUPS_MAX 4096 /* processes that have connections */
#define HF_LOGS_HINT_WAIT HF_SECONDS(60)

enum hf_logs_fate {
    HF_LOGS_ENDED,
    HF_LOGS_LIVED,       /* it had not ended when the log did: its age is a lower bound */
    HF_LOGS_TURNED_AWAY, /* its handshake was not answered with 101 */
};

/* One connection, with its texts; long ones are cut. */
struct hf_logs_ending {
    enum hf_logs_fate fate;
    enum hf_logs_format format;
    enum hf_logs_who who;
    enum hf_logs_how how;
    int64_t at;  /* HF_LOGS_NO_TIME */
    hf_time age; /* -1: not known */
    hf_time silent_rx, silent_tx;
    uint16_t code, http;
    uint32_t pid;
    uint32_t source; /* which file */
    int64_t messages_up, messages_down, bytes_up, bytes_down;
    bool wished;
    char path[128];   /* without its query */
    char address[64]; /* without its port */
    char upstream[64];
    char reason[124];
    char cause[40]; /* "" : the log does not tell */
};

struct hf_logs_book;
/* key: of tables that hold strangers' texts. NULL: no memory. */
struct hf_logs_book *hf_logs_book_new(const struct hf_allocator *alloc, const uint8_t key[16]);
void hf_logs_book_free(struct hf_logs_book *b);
/* source: a number for each file. Then take what has ended with hf_logs_book_next until it is
 * false. */
HF_MUST_USE enum hf_status hf_logs_book_feed(struct hf_logs_book *b, const struct hf_logs_event *e,
                                             uint32_t source);
bool hf_logs_book_next(struct hf_logs_book *b, struct hf_logs_ending *ending);
/* The log is at its end: what is open lives, what waits for its access line waits no longer. Then
 * hf_logs_book_next again. */
void hf_logs_book_finish(struct hf_logs_book *b);

/* What could not be put together. */
struct hf_logs_book_counts {
    uint64_t began_before; /* ends whose beginning is not in the log */
    uint64_t ambiguous;    /* ends that could not be told from each other: their ages are unknown */
    uint64_t given_up;     /* open ones beyond the maximum, or opened again without an end */
    uint64_t hints_left;   /* reasons without an access line, though there are access lines */
    uint64_t hints_lost;   /* beyond the maximum */
};
const struct hf_logs_book_counts *hf_logs_book_counts(const struct hf_logs_book *b);

#endif
