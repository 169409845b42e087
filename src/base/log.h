/* SPDX-License-Identifier: Apache-2.0 */
/* The log: one line an event, as text for people or as a JSON object for machines, written in
 * batches.
 *
 * A line is built field by field in the caller's own buffer and handed over whole, so lines of two
 * threads never mix. The writer gathers lines in memory and writes them when 32 KiB have come
 * together, or when hf_log_flush is called (each worker calls it at most every 100 ms and before it
 * ends). When the disk is slower than the gateway, lines beyond 4 MiB are dropped and their number
 * is logged. A pipe or terminal that nobody reads never blocks a worker: what it does not take
 * waits. What cannot be written (a broken pipe, a full disk) is dropped and counted; the process
 * must ignore SIGPIPE. Thread-safe.
 *
 * Text: 2026-01-31T12:00:00.000Z info ws open route=/ws/ address=192.0.2.1
 * JSON: {"time":"2026-01-31T12:00:00.000Z","level":"info","event":"ws open","route":"/ws/",...} */
#ifndef HF_BASE_LOG_H
#define HF_BASE_LOG_H

#include "base/buffer.h"
#include "base/time.h"

enum hf_log_level { HF_LOG_DEBUG, HF_LOG_INFO, HF_LOG_WARNING, HF_LOG_ERROR };
enum hf_log_format { HF_LOG_TEXT, HF_LOG_JSON };

struct hf_log;

/* path NULL: standard error. *log is NULL on failure. Format and level may be set later. */
HF_MUST_USE enum hf_status hf_log_open(const char *path, enum hf_log_format format,
                                       enum hf_log_level level, struct hf_log **log);
/* Flushes and frees. NULL is accepted. */
void hf_log_close(struct hf_log *log);
/* Opens the path again, for log rotation; on failure the old file stays in use. Does nothing to
 * standard error. */
enum hf_status hf_log_reopen(struct hf_log *log);
void hf_log_configure(struct hf_log *log, enum hf_log_format format, enum hf_log_level level);
bool hf_log_wants(const struct hf_log *log, enum hf_log_level level);
void hf_log_flush(struct hf_log *log);
/* Lines lost since the log was opened: dropped for lack of room or memory, or refused by the
 * kernel. */
uint64_t hf_log_lost(const struct hf_log *log);

/* A line under construction; lives on the stack (about 2 KiB; longer lines move to the heap). With
 * log NULL, or a level that is not wanted, all calls do nothing. */
struct hf_log_line {
    struct hf_log *log;
    struct hf_allocator alloc; /* of text: `room` first, then the heap */
    struct hf_buffer text;
    hf_wall wall;
    bool json;
    uint8_t room[2048];
};
/* event is two or three words, "ws auth", "ws end", "config reload": the name people search for. */
void hf_log_begin(struct hf_log_line *line, struct hf_log *log, enum hf_log_level level,
                  hf_wall wall, const char *event);
/* Keys are lower case with underscores; values are escaped (text form: quoted when they are empty
 * or hold space, quote, backslash, = or anything but printable ASCII). */
void hf_log_text(struct hf_log_line *line, const char *key, struct hf_slice value);
void hf_log_cstr(struct hf_log_line *line, const char *key, const char *value);
void hf_log_number(struct hf_log_line *line, const char *key, int64_t value);
/* Milliseconds with up to three decimals from microseconds. */
void hf_log_ms(struct hf_log_line *line, const char *key, int64_t microseconds);
/* Fields that are written already, "a":1,"b":"c"; only for a line that is JSON (line->json). */
void hf_log_members(struct hf_log_line *line, struct hf_slice members);
/* A value that is not known: null in JSON, - in text. */
void hf_log_null(struct hf_log_line *line, const char *key);
void hf_log_bool(struct hf_log_line *line, const char *key, bool value);
void hf_log_end(struct hf_log_line *line);
/* A plain sentence: event plus one `message` field. */
void hf_log_say(struct hf_log *log, enum hf_log_level level, hf_wall wall, const char *event,
                const char *format, ...) HF_PRINTF(5, 6);

#endif
