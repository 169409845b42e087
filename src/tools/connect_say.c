/* SPDX-License-Identifier: Apache-2.0 */
/* What holdfast connect prints: messages on standard output, what happens to the connection beside
 * them (on a terminal) or on standard error (else); or everything as JSON lines. */
#include "tools/connect.h"

#include "base/hash.h"
#include "base/time.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define GREY "\033[90m"
#define BLUE "\033[34m"
#define GREEN "\033[32m"
#define YELLOW "\033[33m"
#define RED "\033[31m"
#define PLAIN "\033[0m"

/* ---- JSON ---------------------------------------------------------------------------------------
 */

static void add_text(struct hf_buffer *out, const char *key, struct hf_slice value)
{
    hf_buffer_addf(out, ",\"%s\":\"", key);
    hf_buffer_add_json(out, value);
    hf_buffer_add_text(out, "\"");
}

static void add_cstr(struct hf_buffer *out, const char *key, const char *value)
{
    add_text(out, key, hf_slice_of(value));
}

/* -1 is not known. */
static void add_number(struct hf_buffer *out, const char *key, int64_t value)
{
    hf_buffer_addf(out, ",\"%s\":", key);
    if (value < 0) {
        hf_buffer_add_text(out, "null");
    } else {
        hf_buffer_add_number(out, value);
    }
}

static void add_payload(struct hf_buffer *out, enum holdfast_type type, struct hf_slice payload)
{
    add_cstr(out, "type", type == HOLDFAST_TEXT ? "text" : "binary");
    if (type == HOLDFAST_TEXT) {
        add_text(out, "data", payload);
        return;
    }
    char *text = malloc(HF_BASE64_LEN(payload.len) + 1);
    if (text != NULL) {
        add_text(out, "base64", hf_slice(text, hf_base64_encode(payload, text)));
    }
    free(text);
}

static void add_record(struct hf_buffer *out, const struct holdfast_record *r)
{
    add_cstr(out, "cause", r->cause);
    add_cstr(out, "who", r->who);
    add_number(out, "code", r->code);
    add_number(out, "http", r->http);
    add_cstr(out, "reason", r->reason);
    add_number(out, "held_ms", r->held_ms);
    add_number(out, "silent_rx_ms", r->silent_rx_ms);
    add_number(out, "silent_tx_ms", r->silent_tx_ms);
    add_number(out, "rtt_ms", r->rtt_ms);
    add_number(out, "unacked", (int64_t)r->unacked);
}

static void add_lost(struct hf_buffer *out, const struct holdfast_lost *lost)
{
    add_cstr(out, "reason", lost->reason);
    add_number(out, "received", (int64_t)lost->received);
    add_number(out, "acked", (int64_t)lost->acked);
    add_number(out, "sent", (int64_t)lost->sent);
    add_number(out, "old_received", lost->old_received);
    hf_buffer_add_text(out, ",\"messages\":[");
    for (size_t i = 0; lost->messages != NULL && i < lost->message_count; i++) {
        const struct holdfast_message *m = &lost->messages[i];
        hf_buffer_addf(out, "%s{\"number\":%llu,\"sent\":%s", i > 0 ? "," : "",
                       (unsigned long long)m->number, m->sent ? "true" : "false");
        add_payload(out, m->type, hf_slice(m->data, m->size));
        hf_buffer_add_text(out, "}");
    }
    hf_buffer_add_text(out, "]");
}

static void add_fields(struct hf_buffer *out, const struct holdfast_event *e)
{
    switch (e->kind) {
    case HOLDFAST_EVENT_OPEN:
        add_cstr(out, "url", e->url);
        add_cstr(out, "protocol", e->protocol);
        add_cstr(out, "session", e->session);
        hf_buffer_addf(out, ",\"gateway\":%s", e->gateway ? "true" : "false");
        break;
    case HOLDFAST_EVENT_MESSAGE:
        add_number(out, "number", (int64_t)e->number);
        add_payload(out, e->type, hf_slice(e->data, e->size));
        break;
    case HOLDFAST_EVENT_RECONNECTING:
        add_cstr(out, "url", e->url);
        add_record(out, e->record);
        add_number(out, "attempts", (int64_t)e->attempts);
        add_number(out, "delay_ms", e->delay_ms);
        break;
    case HOLDFAST_EVENT_RESUMED:
        add_cstr(out, "url", e->url);
        add_cstr(out, "session", e->session);
        add_number(out, "attempts", (int64_t)e->attempts);
        add_number(out, "away_ms", e->away_ms);
        break;
    case HOLDFAST_EVENT_LOST:
        add_lost(out, e->lost);
        break;
    case HOLDFAST_EVENT_CLOSE:
        add_record(out, e->record);
        break;
    case HOLDFAST_EVENT_REBOUND:
        add_number(out, "from", (int64_t)e->from);
        add_number(out, "to", (int64_t)e->to);
        add_number(out, "attempt", (int64_t)e->attempts);
        break;
    case HOLDFAST_EVENT_AUTHORIZED:
        add_number(out, "expires", e->expires);
        break;
    case HOLDFAST_EVENT_STATE:
        break;
    }
}

static void say_json(const struct holdfast_event *e)
{
    struct hf_buffer out;
    struct timespec t;
    char time[25];
    clock_gettime(CLOCK_REALTIME, &t);
    hf_wall_text((hf_wall)t.tv_sec * 1000 + t.tv_nsec / 1000000, time);
    hf_buffer_init(&out, &hf_heap, SIZE_MAX);
    hf_buffer_addf(&out, "{\"time\":\"%s\",\"event\":\"%s\",\"state\":\"%s\"", time,
                   holdfast_event_text(e->kind), holdfast_state_text(e->state));
    add_fields(&out, e);
    hf_buffer_add_text(&out, "}\n");
    if (!out.failed) {
        (void)fwrite(out.data, 1, out.len, stdout);
        fflush(stdout);
    }
    hf_buffer_reset(&out);
}

/* ---- for people ---------------------------------------------------------------------------------
 */

/* A stranger's text on a terminal: controls are shown, not obeyed, but those in keep. */
static void print_shown(FILE *out, struct hf_slice text, const char *keep)
{
    for (size_t i = 0; i < text.len; i++) {
        const uint8_t byte = text.ptr[i];
        if ((byte < 0x20 && (byte == 0 || strchr(keep, byte) == NULL)) || byte == 0x7f) {
            fprintf(out, "\\x%02x", byte);
        } else if (byte == 0xc2 && i + 1 < text.len && text.ptr[i + 1] < 0xa0) {
            fprintf(out, "\\x%02x", text.ptr[++i]); /* the controls of Latin-1 */
        } else {
            putc(byte, out);
        }
    }
}

static void print_safe(FILE *out, struct hf_slice text)
{
    print_shown(out, text, "\t\n");
}

/* One that stands in a sentence of ours, which it must not end. */
static void print_word(FILE *out, const char *text)
{
    print_shown(out, hf_slice_of(text), "");
}

static void print_hex(FILE *out, struct hf_slice bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        fprintf(out, "%02x", bytes.ptr[i]);
    }
}

/* 0.3 s, 24.1 s, 2 min 5 s */
static void print_span(FILE *out, int64_t ms)
{
    if (ms < 100000) {
        fprintf(out, "%lld.%lld s", (long long)ms / 1000, (long long)ms % 1000 / 100);
    } else {
        fprintf(out, "%lld min %lld s", (long long)ms / 60000, (long long)ms % 60000 / 1000);
    }
}

/* Where sentences about the connection go, begun with their colour. */
static FILE *begin(struct connect *c, const char *color)
{
    FILE *out = c->interactive ? stdout : stderr;
    if (c->color && c->interactive) {
        fputs(color, out);
    }
    return out;
}

static void end(struct connect *c, FILE *out)
{
    fputs(c->color && c->interactive ? PLAIN "\n" : "\n", out);
    fflush(out);
}

void connect_complain(struct connect *c, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    FILE *out = begin(c, RED);
    vfprintf(out, format, args);
    end(c, out);
    va_end(args);
}

static void say_message(struct connect *c, const struct holdfast_event *e)
{
    const struct hf_slice payload = hf_slice(e->data, e->size);
    if (!c->interactive) {
        if (e->type == HOLDFAST_TEXT) {
            (void)fwrite(payload.ptr, 1, payload.len, stdout);
        } else {
            print_hex(stdout, payload);
        }
        putchar('\n');
        fflush(stdout);
        return;
    }
    fputs(c->color ? BLUE "< " : "< ", stdout);
    if (e->type == HOLDFAST_TEXT) {
        print_safe(stdout, payload);
    } else {
        printf("(%zu bytes) ", payload.len);
        print_hex(stdout, hf_slice_first(payload, 64));
        fputs(payload.len > 64 ? "..." : "", stdout);
    }
    fputs(c->color ? PLAIN "\n" : "\n", stdout);
    fflush(stdout);
}

static void say_open(struct connect *c, const struct holdfast_event *e)
{
    FILE *out = begin(c, GREEN);
    fputs("Connected to ", out);
    print_word(out, e->url);
    if (*e->protocol != '\0') {
        fputs(" (", out);
        print_word(out, e->protocol);
        fputs(")", out);
    }
    fputs(e->gateway ? ", session " : ", no gateway in the path", out);
    print_word(out, e->session);
    fputs(c->interactive && !c->was_open ? " (Ctrl+C ends)" : "", out);
    end(c, out);
}

/* "connection_reset (network, 1006): what" */
static void print_record(FILE *out, const struct holdfast_record *r)
{
    print_word(out, r->cause);
    fputs(" (", out);
    print_word(out, r->who);
    if (r->code != 0) {
        fprintf(out, ", code %d", r->code);
    }
    if (r->http != 0) {
        fprintf(out, ", HTTP %d", r->http);
    }
    fputs(")", out);
    if (*r->reason != '\0' && strcmp(r->reason, r->cause) != 0) {
        fputs(": ", out);
        print_word(out, r->reason);
    }
}

static void say_reconnecting(struct connect *c, const struct holdfast_event *e)
{
    const struct holdfast_record *r = e->record;
    FILE *out = begin(c, YELLOW);
    if (r->code == 0 || !c->was_open) { /* also a gateway's refusal behind its 101 */
        fputs(c->was_open ? "Not back: " : "Could not connect: ", out);
        print_record(out, r);
    } else {
        fputs("Connection lost after ", out);
        print_span(out, r->held_ms);
        fputs(": ", out);
        print_record(out, r);
        if (r->silent_rx_ms >= 1000) {
            fputs("; nothing had come for ", out);
            print_span(out, r->silent_rx_ms);
        }
        if (r->unacked > 0) {
            fprintf(out, "; %llu not acknowledged", (unsigned long long)r->unacked);
        }
    }
    if (c->was_open || c->retry) {
        fputs("; next attempt in ", out);
        print_span(out, e->delay_ms);
    }
    end(c, out);
}

static void say_resumed(struct connect *c, const struct holdfast_event *e)
{
    FILE *out = begin(c, GREEN);
    fputs("Resumed after ", out);
    print_span(out, e->away_ms);
    fputs(", nothing lost", out);
    end(c, out);
}

static void say_lost(struct connect *c, const struct holdfast_event *e)
{
    const struct holdfast_lost *l = e->lost;
    FILE *out = begin(c, RED);
    if (strcmp(l->reason, "no_gateway") == 0) {
        fprintf(out, "What was on its way is lost: %llu had come, %llu had gone",
                (unsigned long long)l->received, (unsigned long long)l->sent);
    } else {
        fputs("Session lost: ", out);
        print_word(out, l->reason);
        fprintf(out, "; %llu received, %llu sent, %llu acknowledged",
                (unsigned long long)l->received, (unsigned long long)l->sent,
                (unsigned long long)l->acked);
    }
    if (l->old_received >= 0) {
        fprintf(out, ", %lld counted by the gateway", (long long)l->old_received);
    }
    end(c, out);
    for (size_t i = 0; l->messages != NULL && i < l->message_count; i++) {
        const struct holdfast_message *m = &l->messages[i];
        out = begin(c, GREY);
        fprintf(out, "  %s #%llu: ", m->sent ? "uncertain" : "not sent",
                (unsigned long long)m->number);
        if (m->type == HOLDFAST_TEXT) {
            print_safe(out, hf_slice(m->data, m->size));
        } else {
            fprintf(out, "(%zu bytes)", m->size);
        }
        end(c, out);
    }
}

static void say_close(struct connect *c, const struct holdfast_event *e)
{
    const struct holdfast_record *r = e->record;
    FILE *out = begin(c, r->code == 1000 || c->closing ? GREEN : RED);
    fputs(c->was_open ? "Disconnected: " : "Not connected: ", out);
    print_record(out, r);
    if (c->was_open) {
        fputs("; held for ", out);
        print_span(out, r->held_ms);
    }
    end(c, out);
}

void connect_say(struct connect *c, const struct holdfast_event *e)
{
    if (c->json) {
        say_json(e);
        return;
    }
    switch (e->kind) {
    case HOLDFAST_EVENT_OPEN:
        say_open(c, e);
        break;
    case HOLDFAST_EVENT_MESSAGE:
        say_message(c, e);
        break;
    case HOLDFAST_EVENT_RECONNECTING:
        say_reconnecting(c, e);
        break;
    case HOLDFAST_EVENT_RESUMED:
        say_resumed(c, e);
        break;
    case HOLDFAST_EVENT_LOST:
        say_lost(c, e);
        break;
    case HOLDFAST_EVENT_CLOSE:
        say_close(c, e);
        break;
    case HOLDFAST_EVENT_REBOUND: {
        FILE *out = begin(c, YELLOW);
        fprintf(out, "The backend's connection was replaced; %llu of ours may not be processed",
                (unsigned long long)(e->to - e->from));
        end(c, out);
        break;
    }
    case HOLDFAST_EVENT_STATE:
    case HOLDFAST_EVENT_AUTHORIZED:
        break;
    }
}
