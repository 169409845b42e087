/* SPDX-License-Identifier: Apache-2.0 */
/* /metrics in the Prometheus text format 0.0.4: every family has its HELP and TYPE once, all its
 * samples together, and labels only from the configuration and from tables, so that no stranger can
 * make series.
 *
 * Counters of routes and upstreams belong to the runtime that is in force: a reload starts them at
 * zero, which Prometheus reads as a counter's restart. The configuration sees to it that each route
 * has a name of its own; an upstream that is in a route twice is one series. */
#include "gateway/admin.h"

#include "http/exposition.h"
#include "io/tls.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

struct label {
    const char *key;
    const char *value;
};

static void add_series(struct hf_buffer *out, const char *name, const struct label *labels,
                       size_t count)
{
    hf_buffer_add_text(out, name);
    for (size_t i = 0; i < count; i++) {
        hf_buffer_addf(out, "%c%s=\"", i == 0 ? '{' : ',', labels[i].key);
        hf_exposition_label(out, labels[i].value);
        hf_buffer_add_byte(out, '"');
    }
    hf_buffer_add_text(out, count > 0 ? "} " : " ");
}

static void add_sample(struct hf_buffer *out, const char *name, const struct label *labels,
                       size_t count, uint64_t value)
{
    add_series(out, name, labels, count);
    hf_buffer_addf(out, "%llu\n", (unsigned long long)value);
}

/* A family of one sample without labels. */
static void add_plain(struct hf_buffer *out, const char *name, const char *type, const char *help,
                      uint64_t value)
{
    hf_exposition_family(out, name, type, help);
    add_sample(out, name, NULL, 0, value);
}

/* Seconds with as many decimals as the unit has: 1000 or 1000000 to the second. */
static void add_seconds(struct hf_buffer *out, const char *name, const struct label *labels,
                        size_t count, int64_t value, int64_t unit)
{
    add_series(out, name, labels, count);
    hf_buffer_addf(out, "%lld.%0*lld\n", (long long)(value / unit), unit == 1000 ? 3 : 6,
                   (long long)(value % unit));
}

/* ---- the workers' counters ------------------------------------------------------------ */

/* The unit stands before _total: bytes_client is holdfast_client_bytes_total. */
static void counter_name(const char *row, char name[80])
{
    static const char bytes[] = "bytes_";
    if (strncmp(row, bytes, sizeof(bytes) - 1) == 0) {
        (void)snprintf(name, 80, "holdfast_%s_bytes_total", row + sizeof(bytes) - 1);
    } else {
        (void)snprintf(name, 80, "holdfast_%s_total", row);
    }
}

static void add_counters(const struct hf_gateway *g, struct hf_buffer *out)
{
    static const struct {
        const char *row;
        const char *help;
    } rows[] = {
#define ROW(name, text) {#name, text},
        HF_COUNTERS(ROW)
#undef ROW
    };
    for (size_t c = 0; c < HF_COUNTER_COUNT; c++) {
        char name[80];
        uint64_t sum = 0;
        for (size_t i = 0; i < g->worker_count; i++) {
            sum += atomic_load_explicit(&g->workers[i]->counters[c], memory_order_relaxed);
        }
        counter_name(rows[c].row, name);
        add_plain(out, name, "counter", rows[c].help, sum);
    }
}

static void add_workers(const struct hf_gateway *g, struct hf_buffer *out)
{
    static const char open_now[] = "holdfast_worker_connections_open";
    uint64_t openings = 0;
    add_plain(out, "holdfast_workers", "gauge", "Event loops, each on a thread of its own",
              g->worker_count);
    hf_exposition_family(
        out, open_now, "gauge",
        "WebSockets that are open, by worker, whatever configuration they came under");
    for (size_t i = 0; i < g->worker_count; i++) {
        char index[24];
        (void)snprintf(index, sizeof(index), "%zu", i);
        add_sample(out, open_now, &(struct label){"worker", index}, 1,
                   atomic_load_explicit(&g->workers[i]->open_now, memory_order_relaxed));
        openings += atomic_load_explicit(&g->workers[i]->opening_count, memory_order_relaxed);
    }
    add_plain(out, "holdfast_handshakes_in_progress", "gauge",
              "Connections that have no answer to their handshake yet", openings);
}

/* ---- sessions ------------------------------------------------------------------------- */

static uint64_t sum_of(const struct hf_gateway *g, size_t offset)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < g->worker_count; i++) {
        const _Atomic uint64_t *value =
            (const _Atomic uint64_t *)(const void *)((const char *)&g->workers[i]->sessions +
                                                     offset);
        sum += atomic_load_explicit(value, memory_order_relaxed);
    }
    return sum;
}

static void add_sessions(const struct hf_gateway *g, struct hf_buffer *out)
{
    static const char states[] = "holdfast_sessions";
    static const char resumes[] = "holdfast_session_resumes_total";
    static const char lost[] = "holdfast_session_connections_lost_total";
    static const char parked[] = "holdfast_session_parked_seconds_total";
    hf_exposition_family(out, states, "gauge", "Sessions (hf1), by state");
    for (unsigned s = 0; s < HF_SESSION_ENDED; s++) {
        add_sample(out, states,
                   &(struct label){"state", hf_session_state_text((enum hf_session_state)s)}, 1,
                   sum_of(g, offsetof(struct hf_session_gauges, states) + s * sizeof(uint64_t)));
    }
    hf_exposition_family(out, resumes, "counter",
                         "Connections that wanted to resume a session: ok, or why they could not");
    for (unsigned v = 0; v < HF_RESUME_VERDICTS; v++) {
        add_sample(out, resumes,
                   &(struct label){"outcome", hf_resume_verdict_text((enum hf_resume_verdict)v)}, 1,
                   sum_of(g, offsetof(struct hf_session_gauges, resumes) + v * sizeof(uint64_t)));
    }
    hf_exposition_family(out, lost, "counter",
                         "Connections of sessions that were lost, by cause; the sessions went on");
    for (unsigned c = 1; c < hf_cause_count(); c++) {
        uint64_t count = sum_of(g, offsetof(struct hf_session_gauges, lost) + c * sizeof(uint64_t));
        if (count > 0) {
            add_sample(out, lost, &(struct label){"cause", hf_cause_id((enum hf_cause)c)}, 1,
                       count);
        }
    }
    hf_exposition_family(out, parked, "counter",
                         "Time that sessions waited for their clients, over all waits that ended");
    add_seconds(out, parked, NULL, 0,
                (int64_t)sum_of(g, offsetof(struct hf_session_gauges, parked_ms)), 1000);
    add_plain(out, "holdfast_session_held_bytes", "gauge",
              "Memory of messages that wait for clients or backends of sessions",
              sum_of(g, offsetof(struct hf_session_gauges, held)));
    add_plain(
        out, "holdfast_session_passing_bytes", "gauge",
        "Memory of messages of sessions that are on their way: not whole yet, or not taken by "
        "a socket",
        sum_of(g, offsetof(struct hf_session_gauges, passing)));
    add_plain(out, "holdfast_session_messages_at_risk", "gauge",
              "Messages that sessions would lose if the gateway ended now: not acknowledged by the "
              "client, or not taken by the backend",
              sum_of(g, offsetof(struct hf_session_gauges, at_risk)));
}

/* ---- the gateway ---------------------------------------------------------------------- */

static void add_gateway(struct hf_gateway *g, struct hf_buffer *out)
{
    hf_exposition_family(out, "holdfast_build_info", "gauge", "Always 1; the version is the label");
    add_sample(out, "holdfast_build_info", &(struct label){"version", HF_VERSION}, 1, 1);
    hf_exposition_family(out, "holdfast_start_time_seconds", "gauge",
                         "When the gateway was started, in seconds since 1970 UTC");
    add_seconds(out, "holdfast_start_time_seconds", NULL, 0, g->started, 1000);
    add_plain(out, "holdfast_draining", "gauge",
              "1 while the gateway says goodbye to its connections",
              atomic_load_explicit(&g->draining, memory_order_relaxed) ? 1 : 0);
    add_plain(out, "holdfast_config_reloads_total", "counter",
              "Configurations that were taken while running",
              atomic_load_explicit(&g->reloads, memory_order_relaxed));
    add_plain(out, "holdfast_config_reload_failures_total", "counter",
              "Configurations that were refused while running",
              atomic_load_explicit(&g->reload_failures, memory_order_relaxed));
    if (g->log != NULL) {
        add_plain(out, "holdfast_log_lines_lost_total", "counter",
                  "Log lines that could not be written", hf_log_lost(g->log));
    }
}

static void add_endings(struct hf_gateway *g, struct hf_buffer *out)
{
    static const char name[] = "holdfast_endings_total";
    hf_exposition_family(out, name, "counter",
                         "Connections that ended, by cause and by the side where the reason lies");
    for (unsigned cause = 1; cause < hf_cause_count(); cause++) {
        struct label labels[] = {{"cause", hf_cause_id((enum hf_cause)cause)},
                                 {"who", hf_cause_who((enum hf_cause)cause)}};
        add_sample(out, name, labels, 2,
                   atomic_load_explicit(&g->endings[cause], memory_order_relaxed));
    }
}

/* ---- routes --------------------------------------------------------------------------- */

static void add_routes(const struct hf_runtime *rt, struct hf_buffer *out)
{
    static const char open[] = "holdfast_connections_open";
    static const char endings[] = "holdfast_route_endings_total";
    hf_exposition_family(out, open, "gauge",
                         "WebSockets that are open, by route of the configuration in force");
    for (size_t i = 0; i < rt->config->route_count; i++) {
        struct hf_route *r = &rt->routes[i];
        add_sample(out, open, &(struct label){"route", r->config->name}, 1,
                   atomic_load_explicit(&r->state->open, memory_order_relaxed));
    }
    hf_exposition_family(
        out, endings, "counter",
        "Connections of a route that ended, by cause; causes that never came are left out");
    for (size_t i = 0; i < rt->config->route_count; i++) {
        struct hf_route *r = &rt->routes[i];
        for (unsigned cause = 1; cause < hf_cause_count(); cause++) {
            struct label labels[] = {{"route", r->config->name},
                                     {"cause", hf_cause_id((enum hf_cause)cause)}};
            uint64_t count = atomic_load_explicit(&r->state->endings[cause], memory_order_relaxed);
            if (count > 0) {
                add_sample(out, endings, labels, 2, count);
            }
        }
    }
}

/* ---- upstreams ------------------------------------------------------------------------ */

/* The clock of the loops. */
static hf_time monotonic(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return HF_SECONDS(t.tv_sec) + t.tv_nsec / 1000;
}

struct upstream_sum {
    uint64_t active;
    uint64_t up; /* 1 when any of them is */
};

/* What the upstreams of one URL in a route have together, told where the first of them stands;
 * false for the others. */
static bool sum_upstream(const struct hf_route *r, size_t index, hf_time now,
                         struct upstream_sum *sum)
{
    *sum = (struct upstream_sum){0, 0};
    for (size_t i = 0; i < r->backend_count; i++) {
        struct hf_backend *b = &r->backends[i];
        if (strcmp(b->config->url, r->backends[index].config->url) != 0) {
            continue;
        }
        if (i < index) {
            return false;
        }
        sum->active += atomic_load_explicit(&b->state->active, memory_order_relaxed);
        sum->up |= atomic_load_explicit(&b->state->down_until, memory_order_relaxed) <= now ? 1 : 0;
    }
    return true;
}

static void add_upstreams(const struct hf_runtime *rt, bool health, struct hf_buffer *out)
{
    const char *name = health ? "holdfast_upstream_up" : "holdfast_upstream_active";
    hf_time now = monotonic();
    hf_exposition_family(out, name, "gauge",
                         health ? "1, or 0 while failures keep the upstream out of the choice"
                                : "Handshakes and open WebSockets on the upstream");
    for (size_t i = 0; i < rt->config->route_count; i++) {
        const struct hf_route *r = &rt->routes[i];
        for (size_t j = 0; j < r->backend_count; j++) {
            struct label labels[] = {{"route", r->config->name},
                                     {"upstream", r->backends[j].config->url}};
            struct upstream_sum sum;
            if (sum_upstream(r, j, now, &sum)) {
                add_sample(out, name, labels, 2, health ? sum.up : sum.active);
            }
        }
    }
}

/* ---- certificates --------------------------------------------------------------------- */

/* Listeners of one text (two with port 0) are told once, by the certificate that expires first. */
static void add_certificates(const struct hf_runtime *rt, struct hf_buffer *out)
{
    static const char name[] = "holdfast_certificate_expiry_seconds";
    bool any = false;
    for (size_t i = 0; i < rt->config->listen_count; i++) {
        char text[128];
        int64_t expires = rt->listener_tls[i] == NULL ? 0 : hf_tls_expires(rt->listener_tls[i]);
        bool told = expires == 0;
        hf_address_text(&rt->config->listens[i].address, text);
        for (size_t j = 0; j < rt->config->listen_count && !told; j++) {
            char other[128];
            int64_t also = rt->listener_tls[j] == NULL ? 0 : hf_tls_expires(rt->listener_tls[j]);
            hf_address_text(&rt->config->listens[j].address, other);
            if (j != i && also != 0 && strcmp(text, other) == 0) {
                told = j < i;
                expires = also < expires ? also : expires;
            }
        }
        if (told) {
            continue;
        }
        if (!any) {
            hf_exposition_family(
                out, name, "gauge",
                "When the listener's first certificate expires, in seconds since 1970 UTC");
            any = true;
        }
        add_seconds(out, name, &(struct label){"listener", text}, 1, expires, 1000);
    }
}

/* ---- the process ---------------------------------------------------------------------- */

/* False when the system does not tell. */
static bool count_descriptors(uint64_t *count)
{
    DIR *folder = opendir("/proc/self/fd");
    if (folder == NULL) {
        return false;
    }
    *count = 0;
    for (struct dirent *e = readdir(folder); e != NULL; e = readdir(folder)) {
        *count += e->d_name[0] != '.';
    }
    closedir(folder);
    *count -= *count > 0 ? 1 : 0; /* the folder's own */
    return true;
}

static bool resident_bytes(uint64_t *bytes)
{
    FILE *file = fopen("/proc/self/statm", "re");
    unsigned long long pages = 0;
    bool ok = file != NULL && fscanf(file, "%*u %llu", &pages) == 1;
    if (file != NULL) {
        (void)fclose(file);
    }
    *bytes = pages * (uint64_t)sysconf(_SC_PAGESIZE);
    return ok;
}

static void add_process(struct hf_buffer *out)
{
    struct rusage usage;
    struct rlimit limit;
    uint64_t value;
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        int64_t seconds = usage.ru_utime.tv_sec + usage.ru_stime.tv_sec;
        hf_exposition_family(out, "process_cpu_seconds_total", "counter",
                             "CPU time of the process, user and system");
        add_seconds(out, "process_cpu_seconds_total", NULL, 0,
                    seconds * 1000000 + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec, 1000000);
    }
    if (count_descriptors(&value)) {
        add_plain(out, "process_open_fds", "gauge", "Open file descriptors", value);
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        add_plain(out, "process_max_fds", "gauge",
                  "File descriptors that the process may have open", limit.rlim_cur);
    }
    if (resident_bytes(&value)) {
        add_plain(out, "process_resident_memory_bytes", "gauge", "Resident memory in bytes", value);
    }
}

enum hf_status hf_metrics_print(struct hf_gateway *gateway, struct hf_buffer *out)
{
    struct hf_runtime *rt = hf_gateway_runtime(gateway);
    add_gateway(gateway, out);
    add_workers(gateway, out);
    add_sessions(gateway, out);
    add_counters(gateway, out);
    add_endings(gateway, out);
    add_routes(rt, out);
    add_upstreams(rt, false, out);
    add_upstreams(rt, true, out);
    add_certificates(rt, out);
    hf_runtime_unref(rt);
    add_process(out);
    return out->failed ? HF_NO_MEMORY : HF_OK;
}
