/* SPDX-License-Identifier: Apache-2.0 */
/* How a connection ended, as a record and as a sentence: docs/diagnosis.md has the keys. */
#include "cause/infer.h"
#include "probe/probe.h"

#include <stdio.h>

/* A cause that is less likely than this is not named: the ending alone does not tell. */
#define NAMED 0.5

void hf_age_text(hf_time age, char text[24])
{
    const double s = (double)age / 1e6;
    if (age > 0 && age < HF_MS(1)) {
        (void)snprintf(text, 24, "%d µs", (int)age);
    } else if (age < HF_MS(10)) {
        (void)snprintf(text, 24, "%.1f ms", s * 1e3);
    } else if (age < HF_SECONDS(1)) {
        (void)snprintf(text, 24, "%.0f ms", s * 1e3);
    } else if (age < HF_SECONDS(120)) {
        (void)snprintf(text, 24, "%.1f s", s);
    } else if (age < HF_SECONDS(7200)) {
        (void)snprintf(text, 24, "%d min %02d s", (int)(s / 60), (int)s % 60);
    } else {
        (void)snprintf(text, 24, "%d h %02d min", (int)(s / 3600), (int)(s / 60) % 60);
    }
}

/* ---- the record ---------------------------------------------------------------------------------
 */

static void add_text(struct hf_buffer *out, const char *key, const char *value)
{
    hf_buffer_addf(out, ",\"%s\":\"", key);
    hf_buffer_add_json(out, hf_slice_of(value));
    hf_buffer_add_text(out, "\"");
}

static void add_number(struct hf_buffer *out, const char *key, uint64_t value)
{
    hf_buffer_addf(out, ",\"%s\":%llu", key, (unsigned long long)value);
}

static void add_ms(struct hf_buffer *out, const char *key, hf_time value)
{
    hf_buffer_addf(out, ",\"%s\":%.1f", key, (double)value / 1e3);
}

/* Round trip of the last ping that was answered, microseconds; -1: none was. */
static int64_t last_rtt(const struct hf_trial *t)
{
    for (size_t i = t->moment_count; i-- > 0;) {
        if (t->moments[i].kind == HF_MOMENT_PONG_GOT) {
            return t->moments[i].size;
        }
    }
    return -1;
}

/* NULL: it lives, or its ending alone does not tell. */
static const struct hf_catalog_row *name_cause(const struct hf_trial *t,
                                               const struct hf_infer_context *context)
{
    struct hf_named_cause cause;
    return hf_trial_is_dead(t) && hf_infer_one(t, context, &cause, 1) > 0 &&
                   cause.likelihood >= NAMED
               ? cause.row
               : NULL;
}

const char *hf_trial_cause(const struct hf_trial *t, const struct hf_infer_context *context)
{
    const struct hf_catalog_row *row = name_cause(t, context);
    return row != NULL ? row->id : hf_trial_is_dead(t) ? "unknown" : "none";
}

/* On whose side it ended, as far as the ending tells: a FIN or a reset may come from any hop on the
 * way. */
const char *hf_trial_who(const struct hf_trial *t, const struct hf_infer_context *context)
{
    const enum hf_trial_how how = t->end.how;
    if (how == HF_HOW_ALIVE) {
        return "nobody";
    }
    if (how == HF_HOW_ENDED_BY_US) {
        return "us";
    }
    const struct hf_catalog_row *row = name_cause(t, context);
    if (row != NULL && row->layer == HF_LAYER_SERVER) {
        return "server";
    }
    if (row != NULL && (row->layer == HF_LAYER_CDN || row->layer == HF_LAYER_BALANCER ||
                        row->layer == HF_LAYER_PROXY || row->layer == HF_LAYER_NETWORK)) {
        return "path";
    }
    switch (how) {
    case HF_HOW_CLOSE:
    case HF_HOW_FAULT:
    case HF_HOW_STATUS:
    case HF_HOW_REFUSED:
        return "server";
    case HF_HOW_UNREACHABLE:
    case HF_HOW_NO_NAME:
        return "path";
    case HF_HOW_ALIVE:
    case HF_HOW_ENDED_BY_US:
    case HF_HOW_FIN:
    case HF_HOW_RST:
    case HF_HOW_SILENCE:
    case HF_HOW_TIMEOUT:
    case HF_HOW_TLS:
    case HF_HOW_SLOW:
    case HF_HOW_ERRNO:
    case HF_HOW_KINDS:
        break;
    }
    return "unknown";
}

void hf_trial_json(const struct hf_trial *t, struct hf_buffer *out)
{
    hf_trial_json_with(t, NULL, out);
}

void hf_trial_json_with(const struct hf_trial *t, const struct hf_infer_context *context,
                        struct hf_buffer *out)
{
    const struct hf_trial_end *e = &t->end;
    const int64_t rtt = last_rtt(t);
    hf_buffer_addf(out, "\"cause\":\"%s\"", hf_trial_cause(t, context));
    add_text(out, "who", hf_trial_who(t, context));
    add_text(out, "how", hf_trial_how_text(e->how));
    add_text(out, "phase", hf_trial_phase_text(e->phase));
    add_number(out, "code", e->code);
    add_text(out, "reason", e->reason);
    add_number(out, "http", e->http);
    add_number(out, "errno", (uint64_t)e->error);
    add_ms(out, "held_ms", hf_trial_was_open(t) ? e->age : 0);
    add_ms(out, "silent_rx_ms", e->silent_rx);
    add_ms(out, "silent_tx_ms", e->silent_tx);
    add_ms(out, "unsure_ms", e->unsure);
    if (rtt < 0) {
        hf_buffer_add_text(out, ",\"rtt_ms\":null");
    } else {
        hf_buffer_addf(out, ",\"rtt_ms\":%.3f", (double)rtt / 1e3);
    }
    add_number(out, "unacked", e->unacked);
    add_number(out, "retransmits", e->retransmits);
    add_number(out, "messages_sent", t->count[HF_MOMENT_SENT]);
    add_number(out, "messages_got", t->count[HF_MOMENT_GOT]);
    add_number(out, "bytes_sent", t->bytes_sent);
    add_number(out, "bytes_got", t->bytes_got);
    add_number(out, "pings_sent", t->count[HF_MOMENT_PING_SENT]);
    add_number(out, "pongs_got", t->count[HF_MOMENT_PONG_GOT]);
    add_number(out, "pings_got", t->count[HF_MOMENT_PING_GOT]);
    add_number(out, "pongs_sent", t->count[HF_MOMENT_PONG_SENT]);
}

/* ---- the sentence -------------------------------------------------------------------------------
 */

static void say_open_end(const struct hf_trial_end *e, const char *age, struct hf_buffer *out)
{
    switch (e->how) {
    case HF_HOW_CLOSE:
        hf_buffer_addf(out, "closed by the server after %s with ", age);
        hf_buffer_addf(out, e->code == 1005 ? "an empty Close (1005)" : "code %u", e->code);
        if (e->reason[0] != '\0') {
            hf_buffer_addf(out, " \"%s\"", e->reason);
        }
        break;
    case HF_HOW_FIN:
        hf_buffer_addf(out, "ended by the other side after %s, without a Close frame (1006, FIN)",
                       age);
        break;
    case HF_HOW_RST:
        hf_buffer_addf(out, "reset after %s (1006, RST)", age);
        break;
    case HF_HOW_SILENCE:
        hf_buffer_addf(out, "fell silent and was given up after %s (1006): %s", age, e->reason);
        break;
    case HF_HOW_TIMEOUT:
        hf_buffer_addf(out, "given up by the kernel after %s (1006, %s)", age, e->reason);
        break;
    case HF_HOW_TLS:
        hf_buffer_addf(out, "ended by TLS after %s (1006): %s", age, e->reason);
        break;
    case HF_HOW_FAULT:
        hf_buffer_addf(out, "the server broke the protocol after %s: %s (%u)", age, e->reason,
                       e->code);
        break;
    case HF_HOW_ALIVE:
    case HF_HOW_ENDED_BY_US:
    case HF_HOW_STATUS:
    case HF_HOW_REFUSED:
    case HF_HOW_UNREACHABLE:
    case HF_HOW_NO_NAME:
    case HF_HOW_SLOW:
    case HF_HOW_ERRNO:
    case HF_HOW_KINDS:
        hf_buffer_addf(out, "ended after %s: %s", age, e->reason);
        break;
    }
}

static void say_opening_end(const struct hf_trial_end *e, const char *age, struct hf_buffer *out)
{
    static const char *const where[] = {
        [HF_PHASE_DNS] = "while the name was looked up",
        [HF_PHASE_TCP] = "while TCP connected",
        [HF_PHASE_TLS] = "in the TLS handshake",
        [HF_PHASE_UPGRADE] = "before the handshake was answered",
        [HF_PHASE_OPEN] = "",
    };
    switch (e->how) {
    case HF_HOW_STATUS:
        if (e->http == 101) {
            hf_buffer_addf(out, "the handshake was answered with 101, but %s", e->reason);
        } else if (e->http == 0) {
            hf_buffer_addf(out, "the handshake's answer was not understood: %s", e->reason);
        } else {
            hf_buffer_addf(out, "the handshake was answered with %s instead of 101", e->reason);
        }
        break;
    case HF_HOW_REFUSED:
        hf_buffer_add_text(out, "connection refused: nobody listens at that address and port");
        break;
    case HF_HOW_NO_NAME:
    case HF_HOW_UNREACHABLE:
    case HF_HOW_SLOW:
        hf_buffer_addf(out, "%s (gave up after %s)", e->reason, age);
        break;
    case HF_HOW_TLS:
        hf_buffer_addf(out, "TLS failed: %s", e->reason);
        break;
    case HF_HOW_ENDED_BY_US:
    case HF_HOW_ALIVE:
        hf_buffer_addf(out, "given up by us after %s, %s", age, where[e->phase]);
        break;
    case HF_HOW_FIN:
    case HF_HOW_RST:
        hf_buffer_addf(out, "the other side %s %s",
                       e->how == HF_HOW_RST ? "reset the connection" : "hung up", where[e->phase]);
        break;
    case HF_HOW_CLOSE:
    case HF_HOW_SILENCE:
    case HF_HOW_TIMEOUT:
    case HF_HOW_FAULT:
    case HF_HOW_ERRNO:
    case HF_HOW_KINDS:
        hf_buffer_addf(out, "%s, %s", e->reason, where[e->phase]);
        break;
    }
}

/* What was quiet for long before it ended. */
static void say_silence(const struct hf_trial *t, struct hf_buffer *out)
{
    char rx[24], tx[24];
    const struct hf_trial_end *e = &t->end;
    hf_age_text(e->silent_rx, rx);
    hf_age_text(e->silent_tx, tx);
    if (e->silent_rx >= HF_SECONDS(1) && e->silent_tx >= HF_SECONDS(1)) {
        hf_buffer_addf(out, "; nothing had come for %s, nothing had been sent for %s", rx, tx);
    } else if (e->silent_rx >= HF_SECONDS(1)) {
        hf_buffer_addf(out, "; nothing had come for %s", rx);
    } else if (e->silent_tx >= HF_SECONDS(1)) {
        hf_buffer_addf(out, "; nothing had been sent for %s", tx);
    }
    if (e->how == HF_HOW_SILENCE && e->unacked == 0) {
        hf_buffer_add_text(out,
                           "; TCP acknowledged all that was sent, so the next hop was there and "
                           "what is behind it did not answer");
    }
    if (e->unacked > 0) {
        hf_buffer_addf(out, "; %llu bytes of ours were not acknowledged",
                       (unsigned long long)e->unacked);
    }
    if (e->retransmits > 0) {
        hf_buffer_addf(out, "; TCP had to send %u segments again", e->retransmits);
    }
}

static void say_all(const struct hf_trial *t, struct hf_buffer *out)
{
    const struct hf_trial_end *e = &t->end;
    char age[24];
    hf_age_text(e->age, age);
    if (!hf_trial_was_open(t)) {
        say_opening_end(e, age, out);
        return;
    }
    if (e->how == HF_HOW_ALIVE) {
        hf_buffer_addf(out, "open after %s", age);
        return;
    }
    if (e->how == HF_HOW_ENDED_BY_US) {
        hf_buffer_addf(out, "held for %s and closed by us", age);
        return;
    }
    say_open_end(e, age, out);
    say_silence(t, out);
}

/* What a stranger said stands in it: no control of a terminal, no second line. */
static void blank_controls(struct hf_slice text)
{
    uint8_t *c = (uint8_t *)(uintptr_t)text.ptr;
    for (size_t i = 0; i < text.len; i++) {
        if (c[i] < ' ' || c[i] == 0x7f) {
            c[i] = ' ';
        } else if (c[i] == 0xc2 && i + 1 < text.len && c[i + 1] >= 0x80 && c[i + 1] < 0xa0) {
            c[i] = c[i + 1] = ' '; /* C1 */
        }
    }
}

void hf_trial_sentence(const struct hf_trial *t, struct hf_buffer *out)
{
    const size_t start = out->len;
    say_all(t, out);
    blank_controls(hf_slice_from(hf_buffer_slice(out), start));
}
