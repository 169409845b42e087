/* SPDX-License-Identifier: Apache-2.0 */
/* The verdict in words: the sentence, the evidence for and against, what was ruled out and by what,
 * which experiment would decide, what keeps the connection alive, and what to change. */
#include "cause/infer_say.h"

#include <math.h>

/* ---- texts -------------------------------------------------------------------------------------
 */

/* A text begins behind the NUL of the one before; offset 0 is the empty one. */
static size_t begin(struct hf_verdict *v)
{
    if (v->texts.len == 0) {
        (void)hf_buffer_add_byte(&v->texts, 0);
    }
    return v->texts.len;
}

static size_t add_text(struct hf_verdict *v, const char *format, ...) HF_PRINTF(2, 3);
static size_t add_text(struct hf_verdict *v, const char *format, ...)
{
    size_t at = begin(v);
    va_list args;

    va_start(args, format);
    (void)hf_buffer_addv(&v->texts, format, args);
    va_end(args);
    (void)hf_buffer_add_byte(&v->texts, 0);
    return v->texts.failed ? 0 : at;
}

static void add_line(struct hf_verdict *v, int kind, enum hf_verdict_class about,
                     const char *format, ...) HF_PRINTF(4, 5);
static void add_line(struct hf_verdict *v, int kind, enum hf_verdict_class about,
                     const char *format, ...)
{
    size_t at = begin(v);
    va_list args;

    if (v->line_count == HF_INFER_LINES) {
        return;
    }
    va_start(args, format);
    (void)hf_buffer_addv(&v->texts, format, args);
    va_end(args);
    (void)hf_buffer_add_byte(&v->texts, 0);
    if (!v->texts.failed) {
        struct hf_verdict_line *line = &v->lines[v->line_count++];
        line->kind = kind == 0   ? HF_LINE_FOR
                     : kind == 1 ? HF_LINE_AGAINST
                     : kind == 2 ? HF_LINE_RULED_OUT
                                 : HF_LINE_NEXT;
        line->about = about;
        line->text = at;
    }
}
#define FOR 0
#define AGAINST 1
#define RULED_OUT 2
#define NEXT 3

/* "1 connection", "3 connections" */
#define N_CONNECTIONS(n) (n), (n) == 1 ? "connection" : "connections"

static const char *words_for(uint16_t resets)
{
    if (resets & HF_RESETS_READING) {
        return "the client's reading";
    }
    if (resets & HF_RESETS_BOTH) {
        return "bytes in each direction";
    }
    if (resets & HF_RESETS_PACKET) {
        return "any packet, also a TCP keepalive";
    }
    switch (resets & HF_RESETS_ANY_BYTE) {
    case HF_RESETS_ANY_BYTE:
        return "any byte, either way";
    case HF_RESETS_UP:
        return "any byte from the client";
    case HF_RESETS_DOWN:
        return "any byte from the server";
    case HF_RESETS_SENT:
        return "messages from the client";
    case HF_RESETS_GOT:
        return "messages from the server";
    case HF_RESETS_SENT | HF_RESETS_GOT:
        return "messages, either way";
    case HF_RESETS_SENT | HF_RESETS_PING_C:
        return "messages and pings from the client";
    default:
        return "what was sent";
    }
}

/* ---- which experiment --------------------------------------------------------------------------
 */

static bool either(enum hf_verdict_class a, enum hf_verdict_class b, enum hf_verdict_class what)
{
    return a == what || b == what;
}

const char *deciding_experiment(enum hf_verdict_class a, enum hf_verdict_class b)
{
    if (either(a, b, HF_CLASS_HANDSHAKE)) {
        return "handshake";
    }
    if (either(a, b, HF_CLASS_SIZE_LIMIT)) {
        return "size";
    }
    if (either(a, b, HF_CLASS_PONG_TIMEOUT)) {
        return "pong";
    }
    if (either(a, b, HF_CLASS_RESTART)) {
        return either(a, b, HF_CLASS_BLOCKED_SERVER) ? "stall" : "stagger";
    }
    if (either(a, b, HF_CLASS_BLOCKED_SERVER)) {
        return "stall";
    }
    if (either(a, b, HF_CLASS_MESSAGE_LIMIT)) {
        return "message";
    }
    if (either(a, b, HF_CLASS_LIFETIME)) {
        return either(a, b, HF_CLASS_NETWORK) ? "silence" : "busy";
    }
    if (either(a, b, HF_CLASS_NETWORK)) {
        return either(a, b, HF_CLASS_IDLE_TIMER) ? "quiet-send" : "path";
    }
    return "silence";
}

static const char *words_of_experiment(const char *name)
{
    static const struct {
        const char *name, *words;
    } all[] = {
        {"handshake", "ask for the handshake with other headers, and keep the status"},
        {"size", "send larger and larger messages (needs --allow-load)"},
        {"pong", "answer the server's pings on some connections and not on others"},
        {"stagger", "begin connections spread over time: one instant for all is a restart, one age "
                    "for each a timer"},
        {"stall", "ask for round trips every second until the end: does the server stop first?"},
        {"message",
         "send the application's text (--send) at two or more intervals: a count ends at "
         "an age that follows the interval"},
        {"busy", "keep pings and messages going in both directions until well beyond that age"},
        {"quiet-send", "stay silent for different times, and then send once"},
        {"path", "compare with a way around a hop (--compare URL2)"},
        {"silence", "hold more silent connections, for longer (--budget)"},
    };

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (hf_slice_eq(hf_slice_of(name), hf_slice_of(all[i].name))) {
            return all[i].words;
        }
    }
    return "";
}

/* ---- the evidence for --------------------------------------------------------------------------
 */

/* Of the connections that sent more often than the timer: how many, and the oldest. */
static size_t kept_alive(const struct weighed *w, const struct fit *f, double *oldest)
{
    size_t count = 0;

    *oldest = 0;
    for (size_t i = 0; i < w->e->count; i++) {
        const struct fact *fact = &w->e->facts[i];
        struct reach r = reach_of(fact, f->resets);
        if (fact->age > 1.25 * f->value && r.most < f->value && r.last >= 0 &&
            (!fact->dead || r.last < 0.9 * f->value)) {
            count++;
            *oldest = fmax(*oldest, fact->age);
        }
    }
    return count;
}

static void for_idle(struct hf_verdict *v, const struct weighed *w, const struct fit *f)
{
    double oldest;
    size_t kept = kept_alive(w, f, &oldest);

    add_line(v, FOR, f->class, "%zu %s ended when %s had been missing for %.4g s (%.4g to %.4g s)",
             N_CONNECTIONS(f->explained), words_for(f->resets), f->value, f->low, f->high);
    if (kept > 0) {
        add_line(v, FOR, f->class, "%zu %s that had it more often lived on, up to %.4g s",
                 N_CONNECTIONS(kept), oldest);
    }
    for (size_t i = 0; i < w->fits->count; i++) {
        const struct fit *other = &w->fits->list[i];
        if (other->model == MODEL_IDLE && other->resets != f->resets &&
            other->score > f->score - 3.5) {
            add_line(v, FOR, f->class, "not told apart from it: a timer set back by %s",
                     words_for(other->resets));
        }
    }
}

static void for_lifetime(struct hf_verdict *v, const struct weighed *w, const struct fit *f)
{
    size_t busy = 0;

    for (size_t i = 0; i < w->e->count; i++) {
        const struct fact *fact = &w->e->facts[i];
        struct reach both = reach_of(fact, HF_RESETS_BOTH | HF_RESETS_ANY_BYTE);
        busy += fact->dead && fabs(fact->age - f->value) < 0.1 * f->value + 0.2 &&
                        both.last < 0.5 * f->value && both.most < 0.5 * f->value && both.last >= 0
                    ? 1
                    : 0;
    }
    add_line(v, FOR, f->class, "%zu %s ended at the age of %.4g s (%.4g to %.4g s)",
             N_CONNECTIONS(f->explained), f->value, f->low, f->high);
    if (busy > 0) {
        add_line(v, FOR, f->class,
                 "%zu of them were busy in both directions, with no pause of half that age", busy);
    }
}

static void for_watchdog(struct hf_verdict *v, const struct weighed *w, const struct fit *f)
{
    size_t answering = 0;

    for (size_t i = 0; i < w->e->count; i++) {
        const struct fact *fact = &w->e->facts[i];
        answering += !fact->withheld && !fact->dead && fact->t->count[HF_MOMENT_PING_GOT] > 0 &&
                             fact->age > 1.2 * f->value
                         ? 1
                         : 0;
    }
    add_line(v, FOR, f->class,
             "%zu %s ended %.4g s after a ping of the server that had no answer that counts",
             N_CONNECTIONS(f->explained), f->waits);
    if (answering > 0) {
        add_line(v, FOR, f->class, "%zu %s that answered lived on", N_CONNECTIONS(answering));
    }
    if (!f->watchdog.arrives) {
        add_line(v, FOR, f->class,
                 "answers were sent and did not count: a hop in between eats or rewrites pongs%s",
                 f->watchdog.helps & HF_RESETS_SENT ? "; messages count" : "");
    }
}

static void for_count(struct hf_verdict *v, const struct fit *f)
{
    if (f->resets & HF_RESETS_SENT) {
        add_line(v, FOR, f->class, "%zu %s ended right behind client message %.0f (%.0f to %.0f)%s",
                 N_CONNECTIONS(f->explained), f->value, f->low, f->high,
                 f->resets & HF_RESETS_GOT ? ", when messages of both sides are counted" : "");
    } else {
        add_line(v, FOR, f->class,
                 "%zu %s ended right behind message %.0f of the server: its messages are counted",
                 N_CONNECTIONS(f->explained), f->server_messages);
    }
    if (f->window > 0) {
        add_line(v, FOR, f->class, "slower ones passed that number: it is counted in about %.3g s",
                 f->window);
    }
    if (f->model == MODEL_BUCKET) {
        add_line(v, FOR, f->class,
                 "faster ones ended after fewer: a bucket that fills by %.3g messages a second",
                 f->per_second);
    }
    if (f->lived > 0) {
        add_line(v, FOR, f->class, "%zu %s with fewer messages lived on", N_CONNECTIONS(f->lived));
    }
}

static void for_network(struct hf_verdict *v, const struct weighed *w, const struct fit *f)
{
    if (f->model == MODEL_OUTAGE && f->instants == 0) {
        add_line(v, FOR, f->class, "%zu %s fell silent at the age of %.3g s, without an end of TCP",
                 N_CONNECTIONS(f->explained), f->waits);
    } else if (f->model == MODEL_OUTAGE && f->instants > 1) {
        add_line(v, FOR, f->class, "%zu %s fell silent at %zu instants, without an end of TCP",
                 N_CONNECTIONS(f->explained), f->instants);
    } else if (f->model == MODEL_OUTAGE) {
        add_line(v, FOR, f->class, "%zu %s fell silent at one instant, without an end of TCP",
                 N_CONNECTIONS(f->explained));
    } else if (f->model == MODEL_FRAME) {
        add_line(
            v, FOR, f->class, "%zu %s ended right behind the first %s", N_CONNECTIONS(f->explained),
            f->resets == HF_RESETS_PING_S ? "ping of the server" : "control frame of the client");
    } else if (w->e->dead > 0) {
        add_line(v, FOR, f->class, "%zu %s ended at ages without a pattern",
                 N_CONNECTIONS(w->e->dead));
    }
    if (w->e->died_silent > 0) {
        add_line(v, FOR, f->class, "%zu %s had no answer any more, and TCP said nothing",
                 N_CONNECTIONS(w->e->died_silent));
    }
    if (w->e->retransmits > 0) {
        add_line(v, FOR, f->class, "TCP sent %llu segments again, for %llu that were sent",
                 (unsigned long long)w->e->retransmits, (unsigned long long)w->e->sent_segments);
    }
}

static void for_none(struct hf_verdict *v, const struct weighed *w)
{
    const struct evidence *e = w->e;

    add_line(v, FOR, HF_CLASS_NONE,
             "%zu of %zu connections did not end by themselves; the oldest "
             "lived for %.4g s",
             e->count - e->dead, e->count, e->longest);
    if (w->watchdog_default) {
        add_line(v, FOR, HF_CLASS_NONE,
                 "the server has a watchdog: who does not answer its pings is ended after %.4g s; "
                 "who answers lives",
                 w->best[HF_CLASS_PONG_TIMEOUT]->value);
    }
}

static void say_for(struct hf_verdict *v, const struct weighed *w, enum hf_verdict_class class)
{
    const struct fit *f = w->best[class];

    if (f == NULL) {
        return;
    }
    switch (f->model) {
    case MODEL_NONE:
        for_none(v, w);
        break;
    case MODEL_IDLE:
        for_idle(v, w, idle_fit_named(w));
        break;
    case MODEL_LIFETIME:
        for_lifetime(v, w, f);
        break;
    case MODEL_WATCHDOG:
        for_watchdog(v, w, f);
        break;
    case MODEL_COUNT:
    case MODEL_RATE:
    case MODEL_BUCKET:
        for_count(v, f);
        break;
    case MODEL_SIZE:
        add_line(v, FOR, class, "messages of %.0f bytes passed, one of %.0f ended the connection",
                 f->low, f->high);
        break;
    case MODEL_RESTART:
        add_line(v, FOR, class, "%zu connections of different ages ended at %zu %s", f->explained,
                 f->instants, f->instants == 1 ? "instant" : "instants");
        break;
    case MODEL_BLOCKED:
        add_line(v, FOR, class,
                 "%zu %s had no answer any more for %.3g s (%.3g to %.3g s), then they ended",
                 N_CONNECTIONS(w->e->stalls), f->value, f->low, f->high);
        break;
    case MODEL_STALLING:
        add_line(v, FOR, class,
                 "answers came %.3g s late (%.3g to %.3g s) on several connections "
                 "at one time",
                 f->value, f->low, f->high);
        break;
    case MODEL_FLAT:
    case MODEL_OUTAGE:
    case MODEL_FRAME:
        for_network(v, w, f);
        break;
    case MODEL_HANDSHAKE:
        add_line(v, FOR, class, "%zu of %zu handshakes failed", w->e->never_opened,
                 w->e->never_opened + w->e->count);
        break;
    }
}

/* ---- against, and ruled out --------------------------------------------------------------------
 */

static size_t range_of_deaths(const struct weighed *w, double *low, double *high)
{
    size_t count = 0;

    *low = INFINITY;
    *high = 0;
    for (size_t i = 0; i < w->e->count; i++) {
        if (w->e->facts[i].dead) {
            *low = fmin(*low, w->e->facts[i].age);
            *high = fmax(*high, w->e->facts[i].age);
            count++;
        }
    }
    return count;
}

static void rule_out_timers(struct hf_verdict *v, const struct weighed *w,
                            enum hf_verdict_class class)
{
    const struct fit *f = w->best[class];
    double low, high;
    size_t dead = range_of_deaths(w, &low, &high);

    if (class == HF_CLASS_IDLE_TIMER) {
        double pause = INFINITY;
        for (size_t i = 0; i < w->e->count; i++) {
            struct reach r = reach_of(&w->e->facts[i], HF_RESETS_ANY_BYTE);
            pause = w->e->facts[i].dead && r.last >= 0 ? fmin(pause, fmax(r.most, r.last)) : pause;
        }
        if (f == NULL || (isfinite(pause) && pause < 0.7 * low)) {
            add_line(v, RULED_OUT, class,
                     "connections ended that had been silent for %.3g s at most, or others lived "
                     "that were silent for longer",
                     isfinite(pause) ? pause : 0.0);
        } else {
            add_line(v, RULED_OUT, class,
                     "the silences at the ends do not agree with those that were survived (best "
                     "guess: %.4g s, which explains %zu of %zu)",
                     f->value, f->explained, dead);
        }
    } else if (w->e->longest > 1.2 * low && (f == NULL || w->e->longest > 1.2 * f->value)) {
        add_line(v, RULED_OUT, class,
                 "connections lived for %.4g s where others ended from %.4g s on", w->e->longest,
                 low);
    } else {
        add_line(v, RULED_OUT, class, "the ages at the ends differ: %.4g to %.4g s", low, high);
    }
}

static void rule_out(struct hf_verdict *v, const struct weighed *w, enum hf_verdict_class class)
{
    switch (class) {
    case HF_CLASS_NONE:
        add_line(v, RULED_OUT, class, "%zu of %zu connections ended", w->e->dead, w->e->count);
        break;
    case HF_CLASS_IDLE_TIMER:
    case HF_CLASS_LIFETIME:
        rule_out_timers(v, w, class);
        break;
    case HF_CLASS_MESSAGE_LIMIT:
        add_line(v, RULED_OUT, class,
                 "the ends do not come right behind a certain number of messages");
        break;
    case HF_CLASS_SIZE_LIMIT:
        add_line(v, RULED_OUT, class, "the ends do not come right behind a large message");
        break;
    case HF_CLASS_RESTART:
        add_line(v, RULED_OUT, class, "the ends of different ages are not at one instant");
        break;
    case HF_CLASS_PONG_TIMEOUT:
        if (w->e->pings_got == 0) {
            add_line(v, RULED_OUT, class, "the server sent no ping");
        } else {
            add_line(v, RULED_OUT, class, "the ends do not follow pings without an answer");
        }
        break;
    case HF_CLASS_BLOCKED_SERVER:
        add_line(v, RULED_OUT, class, "answers came up to the ends");
        break;
    case HF_CLASS_NETWORK:
        add_line(v, RULED_OUT, class, "%s",
                 w->e->retransmits == 0 ? "the ends have a pattern, and TCP sent nothing again"
                                        : "the ends have a pattern");
        break;
    case HF_CLASS_HANDSHAKE:
        add_line(v, RULED_OUT, class, "%zu handshakes succeeded", w->e->count);
        break;
    case HF_CLASS_INCONCLUSIVE:
    case HF_CLASSES:
        break;
    }
}

static void say_paths(struct hf_verdict *v, const struct weighed *w)
{
    double oldest = 0;
    size_t others = 0, ended = 0;

    for (size_t i = 0; i < w->e->trial_count; i++) {
        const struct hf_trial *t = &w->e->trials[i];
        if (t->path == 1 && hf_trial_was_open(t)) {
            others++;
            ended += hf_trial_is_dead(t) ? 1 : 0;
            oldest = fmax(oldest, seconds_of(t->end.age));
        }
    }
    if (others == 0 || w->e->dead == 0) {
        return;
    }
    if (10 * ended <= others && oldest > w->e->age) {
        add_line(v, FOR, w->first,
                 "on the other path %zu of %zu connections lived, up to %.4g s: the cause is a hop "
                 "that only this path has",
                 others - ended, others, oldest);
    } else if (2 * ended > others) {
        add_line(
            v, FOR, w->first,
            "on the other path %zu of %zu connections ended as well: the cause lies where both "
            "paths are one",
            ended, others);
    }
}

static void say_lines(struct hf_verdict *v, const struct weighed *w)
{
    const struct fit *f = w->best[w->first];
    bool named = v->best.class != HF_CLASS_INCONCLUSIVE;

    say_for(v, w, w->first);
    if (!named) {
        say_for(v, w, w->second);
    }
    if (f != NULL && f->unexplained > 0) {
        add_line(v, AGAINST, w->first, "%zu of %zu ends are not explained by it", f->unexplained,
                 w->e->dead);
    }
    say_paths(v, w);
    for (unsigned c = 0; c < HF_CLASS_INCONCLUSIVE; c++) {
        if (c != w->first && w->posterior[c] < 0.01 && w->e->count > 0 &&
            (w->e->dead > 0 || c == HF_CLASS_HANDSHAKE)) {
            rule_out(v, w, (enum hf_verdict_class)c);
        }
    }
    if (!named) {
        const char *next = deciding_experiment(w->first, w->second);
        add_line(v, NEXT, w->second, "%s", next);
        add_line(v, NEXT, w->second, "%s", words_of_experiment(next));
    }
}

/* ---- the sentence ------------------------------------------------------------------------------
 */

static size_t sentence_of_limit(struct hf_verdict *v)
{
    const struct hf_candidate *c = &v->best;

    if (c->counts_down) {
        return add_text(v,
                        "The connection ends after %.0f messages of the server (%.0f of the "
                        "client): a limiter counts what the server sends.",
                        c->server_messages, c->value);
    }
    return add_text(v, "The connection ends at client message %.0f%s.", c->value,
                    c->window > 0 ? " within a while: a limit of the rate" : ", whenever it comes");
}

static size_t sentence_of(struct hf_verdict *v, const struct weighed *w)
{
    const struct hf_candidate *c = &v->best;

    switch (c->class) {
    case HF_CLASS_NONE:
        return add_text(v, "Nothing ended early: the oldest connection lived for %.4g s.",
                        w->e->longest);
    case HF_CLASS_IDLE_TIMER:
        return add_text(v, "An idle timer of %.3g s ends the connection; %s sets it back.",
                        c->value, words_for(c->resets));
    case HF_CLASS_LIFETIME:
        return add_text(v, "The connection ends at the age of %.3g s, whatever is sent.", c->value);
    case HF_CLASS_MESSAGE_LIMIT:
        return sentence_of_limit(v);
    case HF_CLASS_SIZE_LIMIT:
        return add_text(v, "A message larger than %.0f bytes ends the connection.", c->value);
    case HF_CLASS_RESTART:
        return c->value > 0
                   ? add_text(v,
                              "All connections end together, about every %.3g s: something is "
                              "restarted or reloaded.",
                              c->value)
                   : add_text(v, "All connections ended at one instant, whatever their age: "
                                 "something was restarted or reloaded.");
    case HF_CLASS_PONG_TIMEOUT:
        return w->best[HF_CLASS_PONG_TIMEOUT]->watchdog.arrives
                   ? add_text(v,
                              "The server pings and ends who does not answer, after %.3g s; who "
                              "answers lives, so look for a client or hop that loses pongs.",
                              c->value)
                   : add_text(v,
                              "The server gives up after %.3g s because answers to its pings do "
                              "not reach it.",
                              c->value);
    case HF_CLASS_BLOCKED_SERVER:
        return add_text(v, "The server stands still for %.3g s%s.", c->value,
                        w->best[c->class]->model == MODEL_STALLING ? ", and comes back"
                                                                   : ", then the connection ends");
    case HF_CLASS_NETWORK:
        return add_text(v, "The path loses what is sent, or ends connections without a pattern.");
    case HF_CLASS_HANDSHAKE:
        return add_text(v, "The connection does not open%s%s.",
                        w->e->context->refused_with != NULL ? ": " : "",
                        w->e->context->refused_with != NULL ? w->e->context->refused_with : "");
    case HF_CLASS_INCONCLUSIVE:
    case HF_CLASSES:
        break;
    }
    if (w->first == HF_CLASS_NONE && w->e->context->cut_short) {
        return add_text(
            v,
            "Not decided: the watch was interrupted. Nothing had ended by itself in %.3g "
            "s, which rules out shorter timers alone.",
            w->e->longest);
    }
    return add_text(v,
                    "Not decided: %s and %s explain what was seen about as well; the experiment "
                    "`%s` would tell.",
                    hf_verdict_class_text(w->first), hf_verdict_class_text(w->second),
                    deciding_experiment(w->first, w->second));
}

/* ---- what to do --------------------------------------------------------------------------------
 */

/* An interval that people would choose, at most this. */
static double rounded_down(double seconds)
{
    static const double nice[] = {3600, 1800, 900, 600, 300, 240, 180, 120, 90, 60, 50, 45,  40,
                                  30,   25,   20,  15,  10,  8,   6,   5,   4,  3,  2,  1.5, 1};

    for (size_t i = 0; i < sizeof(nice) / sizeof(nice[0]); i++) {
        if (nice[i] <= seconds * 1.0001) {
            return nice[i];
        }
    }
    return floor(seconds * 20) / 20;
}

static void say_safe(struct hf_verdict *v, const struct weighed *w)
{
    const struct hf_candidate *c = &v->best;
    uint16_t frames = c->resets & HF_RESETS_ANY_BYTE;

    v->safe_ping_s = 0;
    v->safe_ping_by = 0;
    if (c->class == HF_CLASS_IDLE_TIMER && !(c->resets & HF_RESETS_READING)) {
        v->safe_ping_s = rounded_down(c->value / 2.5);
        v->safe_ping_by = frames & HF_RESETS_PING_C || frames & HF_RESETS_PONG_S ? HF_RESETS_PING_C
                          : frames & HF_RESETS_SENT                              ? HF_RESETS_SENT
                                                                                 : HF_RESETS_GOT;
    } else if (c->class == HF_CLASS_PONG_TIMEOUT &&
               !w->best[HF_CLASS_PONG_TIMEOUT]->watchdog.arrives && (c->resets & HF_RESETS_SENT)) {
        v->safe_ping_s = rounded_down(c->value / 2.5);
        v->safe_ping_by = HF_RESETS_SENT;
    }
}

static const char *heartbeat(const struct hf_verdict *v)
{
    return v->safe_ping_by == HF_RESETS_PING_C ? "a ping of the client"
           : v->safe_ping_by == HF_RESETS_SENT ? "a message of the client (a ping does not count)"
                                               : "a message of the server";
}

static size_t general_fix(struct hf_verdict *v, const struct weighed *w)
{
    const struct hf_candidate *c = &v->best;

    switch (c->class) {
    case HF_CLASS_IDLE_TIMER:
        return v->safe_ping_s > 0
                   ? add_text(v,
                              "Send %s every %.3g s, or raise the timer well above the longest "
                              "pause.",
                              heartbeat(v), v->safe_ping_s)
                   : add_text(v, "Read what the server sends, or raise the timer.");
    case HF_CLASS_LIFETIME:
        return add_text(v,
                        "No heartbeat helps: raise the limit of age, or reconnect in good order "
                        "before %.3g s.",
                        0.9 * c->value);
    case HF_CLASS_MESSAGE_LIMIT:
        return c->counts_down
                   ? add_text(v,
                              "Let the limiter count the client's messages alone, not what the "
                              "server streams; or raise it above %.0f.",
                              c->server_messages)
                   : add_text(v, "Raise the limit above %.0f messages, or send less often.",
                              c->value);
    case HF_CLASS_SIZE_LIMIT:
        return add_text(v, "Raise the largest message above %.0f bytes, or send in smaller ones.",
                        c->value);
    case HF_CLASS_RESTART:
        return add_text(v, "Find what restarts or reloads at those instants, let it drain "
                           "connections, and reconnect with jitter.");
    case HF_CLASS_PONG_TIMEOUT:
        return add_text(v, "Let every hop and client pass and answer pings, or set the server's "
                           "ping timeout higher.");
    case HF_CLASS_BLOCKED_SERVER:
        return add_text(v, "Move the call that blocks out of the event loop; its stack at that "
                           "moment names it.");
    case HF_CLASS_NETWORK:
        return add_text(v, "Compare with another path (--compare), and look at loss on the way; "
                           "a heartbeat finds dead connections sooner.");
    case HF_CLASS_HANDSHAKE:
        return add_text(v, "%s",
                        w->e->context->refused_means != NULL
                            ? w->e->context->refused_means
                            : "Look at the status of the refused handshake.");
    case HF_CLASS_NONE:
    case HF_CLASS_INCONCLUSIVE:
    case HF_CLASSES:
        break;
    }
    return 0;
}

/* What helps in general, and the lines of configuration of what it most likely is. */
static size_t whole_fix(struct hf_verdict *v, const struct weighed *w)
{
    size_t general = general_fix(v, w), lines = 0;

    if (general == 0 || v->texts.failed) {
        return general;
    }
    v->texts.len--; /* the NUL: the text goes on */
    /* What a refusal means says more than a product that is one of many. */
    const double least = v->best.class == HF_CLASS_HANDSHAKE ? 0.5 : 0.15;
    for (size_t i = 0; i < v->cause_count && lines < 2; i++) {
        const struct hf_catalog_row *row = v->causes[i].row;
        if (row->fix_line[0] != '\0' && v->causes[i].likelihood >= least) {
            (void)hf_buffer_addf(&v->texts, " %s %s: %s", lines == 0 ? "If it is" : "Or",
                                 row->product, row->fix_line);
            lines++;
        }
    }
    (void)hf_buffer_add_byte(&v->texts, 0);
    return v->texts.failed ? 0 : general;
}

void say_verdict(struct hf_verdict *v, const struct weighed *w)
{
    say_safe(v, w);
    v->sentence = sentence_of(v, w);
    v->fix = whole_fix(v, w);
    say_lines(v, w);
}
