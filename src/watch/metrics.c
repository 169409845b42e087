/* SPDX-License-Identifier: Apache-2.0 */
/* /metrics in the Prometheus text format 0.0.4: every family has its HELP and TYPE once and all its
 * samples together. Labels come from the configuration and from tables; of what strangers can
 * choose (close codes) only so many series are kept. */
#include "http/exposition.h"
#include "watch/inside.h"

/* name{target="…" — without the closing brace. */
static void open_series(struct hf_buffer *out, const char *name, const struct hf_watch_target *t)
{
    hf_buffer_addf(out, "%s{target=\"", name);
    hf_exposition_label(out, t->settings->name);
    hf_buffer_add_byte(out, '"');
}

static void sample(struct hf_buffer *out, const char *name, const struct hf_watch_target *t,
                   double value)
{
    open_series(out, name, t);
    hf_buffer_addf(out, "} %.9g\n", value);
}

#define EACH(w, t)                                                                                 \
    for (struct hf_watch_target **each = (w)->targets, *t;                                         \
         each < (w)->targets + (w)->target_count && ((t) = *each, true); each++)

static void add_state(struct hf_watch *w, struct hf_buffer *out)
{
    hf_exposition_family(out, "holdfast_watch_up", "gauge", "Connections that are held open now.");
    EACH(w, t)
    {
        sample(out, "holdfast_watch_up", t, (double)hf_watch_target_up(t));
    }
    hf_exposition_family(out, "holdfast_watch_connections", "gauge",
                         "Connections that should be held open.");
    EACH(w, t)
    {
        sample(out, "holdfast_watch_connections", t, t->settings->connections);
    }
    hf_exposition_family(out, "holdfast_watch_quiet", "gauge", "1 while alerts are held back.");
    EACH(w, t)
    {
        sample(out, "holdfast_watch_quiet", t, hf_watch_is_quiet(t));
    }
    hf_exposition_family(out, "holdfast_watch_incident_open", "gauge",
                         "1 while an incident of the kind is open.");
    EACH(w, t)
    {
        for (size_t k = 0; k < HF_INCIDENT_KINDS; k++) {
            open_series(out, "holdfast_watch_incident_open", t);
            hf_buffer_addf(out, ",kind=\"%s\"} %d\n",
                           hf_incident_kind_text((enum hf_incident_kind)k), t->incidents[k].open);
        }
    }
}

static void add_probe(struct hf_watch *w, struct hf_buffer *out)
{
    static const char *const phases[] = {"dns", "tcp", "tls", "upgrade", "ping"};
    hf_exposition_family(out, "probe_success", "gauge",
                         "1 when the newest check with a fresh connection went well.");
    EACH(w, t)
    {
        if (t->check.known) {
            sample(out, "probe_success", t, t->check.success);
        }
    }
    hf_exposition_family(out, "probe_duration_seconds", "gauge",
                         "How long the newest check took, from the look-up to the answered ping.");
    EACH(w, t)
    {
        if (t->check.known) {
            sample(out, "probe_duration_seconds", t, (double)t->check.took / 1e6);
        }
    }
    hf_exposition_family(
        out, "holdfast_watch_phase_seconds", "gauge",
        "How long each phase of the newest check took; none for a phase that was not reached.");
    EACH(w, t)
    {
        for (size_t i = 0; t->check.known && i < 5; i++) {
            if (t->check.phases[i] >= 0) {
                open_series(out, "holdfast_watch_phase_seconds", t);
                hf_buffer_addf(out, ",phase=\"%s\"} %.9g\n", phases[i],
                               (double)t->check.phases[i] / 1e6);
            }
        }
    }
    hf_exposition_family(out, "probe_ssl_earliest_cert_expiry", "gauge",
                         "When the server's certificate runs out, in seconds since 1970.");
    EACH(w, t)
    {
        if (t->certificate != 0) {
            sample(out, "probe_ssl_earliest_cert_expiry", t, (double)(t->certificate / 1000));
        }
    }
}

static void add_drops(struct hf_watch *w, struct hf_buffer *out)
{
    hf_exposition_family(
        out, "holdfast_watch_drops_total", "counter",
        "Open connections that ended, not by us; judged says whether that was to be expected.");
    EACH(w, t)
    {
        for (size_t i = 0; i < t->record.drop_kinds; i++) {
            const struct hf_record_drop *d = &t->record.drops[i];
            open_series(out, "holdfast_watch_drops_total", t);
            hf_buffer_addf(out, ",cause=\"%s\",who=\"%s\",code=\"%u\",judged=\"%s\"} %llu\n",
                           d->cause, d->who, d->code,
                           hf_judgement_text((enum hf_judgement)d->judged),
                           (unsigned long long)d->count);
        }
    }
    hf_exposition_family(out, "holdfast_watch_opened_total", "counter", "Connections that opened.");
    EACH(w, t)
    {
        sample(out, "holdfast_watch_opened_total", t, (double)t->record.opened);
    }
    hf_exposition_family(out, "holdfast_watch_connect_failures_total", "counter",
                         "Attempts that did not open a connection.");
    EACH(w, t)
    {
        sample(out, "holdfast_watch_connect_failures_total", t, (double)t->record.failed);
    }
    hf_exposition_family(out, "holdfast_watch_held_seconds_total", "counter",
                         "How long connections were held, those that are open now included.");
    EACH(w, t)
    {
        hf_time held = (hf_time)t->record.held_us;
        for (size_t i = 0; i < t->settings->connections; i++) {
            held += t->sessions[i].up ? hf_watch_now(w) - t->sessions[i].opened : 0;
        }
        sample(out, "holdfast_watch_held_seconds_total", t, (double)held / 1e6);
    }
}

static void add_rtt(struct hf_watch *w, struct hf_buffer *out)
{
    hf_exposition_family(out, "holdfast_watch_rtt_seconds", "histogram", "Round trips of pings.");
    EACH(w, t)
    {
        uint64_t sum = 0;
        for (size_t b = 0; b < HF_RECORD_BUCKETS; b++) {
            sum += t->record.rtt_bucket[b];
            open_series(out, "holdfast_watch_rtt_seconds_bucket", t);
            if (hf_record_bucket_limit[b] == HF_NEVER) {
                hf_buffer_add_text(out, ",le=\"+Inf\"} ");
            } else {
                hf_buffer_addf(out, ",le=\"%g\"} ", (double)hf_record_bucket_limit[b] / 1e6);
            }
            hf_buffer_addf(out, "%llu\n", (unsigned long long)sum);
        }
        sample(out, "holdfast_watch_rtt_seconds_sum", t, (double)t->record.rtt_sum_us / 1e6);
        sample(out, "holdfast_watch_rtt_seconds_count", t, (double)t->record.rtt_count);
    }
}

static void add_own(struct hf_watch *w, struct hf_buffer *out)
{
    hf_exposition_family(out, "holdfast_watch_start_time_seconds", "gauge",
                         "When the watch began, in seconds since 1970.");
    hf_buffer_addf(out, "holdfast_watch_start_time_seconds %.3f\n", (double)w->started / 1000);
    hf_exposition_family(out, "holdfast_watch_history_works", "gauge",
                         "1 while the history is written; 0 when it is not, or none is kept.");
    hf_buffer_addf(out, "holdfast_watch_history_works %d\n",
                   w->store != NULL && w->store_state.works);
    hf_exposition_family(out, "holdfast_watch_history_lost_total", "counter",
                         "Rows of the history that were never written.");
    hf_buffer_addf(out, "holdfast_watch_history_lost_total %llu\n",
                   (unsigned long long)w->store_state.lost);
    static const struct {
        const char *name, *help;
    } counters[] = {
        {"holdfast_watch_alerts_delivered_total", "Alerts that a channel took."},
        {"holdfast_watch_alerts_lost_total", "Alerts that were given up."},
    };
    for (size_t n = 0; n < 2; n++) {
        hf_exposition_family(out, counters[n].name, "counter", counters[n].help);
        for (size_t i = 0; w->courier != NULL && i < w->settings->channel_count; i++) {
            struct hf_courier_state state;
            hf_courier_look(w->courier, i, &state);
            hf_buffer_addf(out, "%s{channel=\"", counters[n].name);
            hf_exposition_label(out, w->settings->channels[i].name);
            hf_buffer_addf(out, "\"} %llu\n",
                           (unsigned long long)(n == 0 ? state.delivered : state.lost));
        }
    }
}

void hf_watch_metrics(struct hf_watch *w, struct hf_buffer *out)
{
    add_state(w, out);
    add_probe(w, out);
    add_drops(w, out);
    add_rtt(w, out);
    add_own(w, out);
}
