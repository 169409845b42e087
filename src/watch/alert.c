/* SPDX-License-Identifier: Apache-2.0 */
/* The shapes of an alert: see alert.h. */
#include "watch/alert.h"

const char *hf_alert_severity(const struct hf_alert *a)
{
    return a->kind == HF_INCIDENT_SLOW || a->kind == HF_INCIDENT_CERTIFICATE ? "warning"
                                                                             : "critical";
}

void hf_alert_line(const struct hf_alert *a, struct hf_buffer *out)
{
    hf_buffer_addf(out, "%s: %s%s", a->target,
                   a->notice == HF_NOTICE_RECOVERY   ? "over: "
                   : a->notice == HF_NOTICE_REMINDER ? "still: "
                                                     : "",
                   a->summary);
    if (a->count > 1) {
        hf_buffer_addf(out, " (%llu times)", (unsigned long long)a->count);
    }
}

static void add_member(struct hf_buffer *out, const char *key, const char *value)
{
    hf_buffer_addf(out, ",\"%s\":\"", key);
    hf_buffer_add_json(out, hf_slice_of(value));
    hf_buffer_add_byte(out, '"');
}

static void add_time(struct hf_buffer *out, const char *key, hf_wall time)
{
    char text[25];
    if (time == 0) {
        hf_buffer_addf(out, ",\"%s\":null", key);
        return;
    }
    hf_wall_text(time, text);
    hf_buffer_addf(out, ",\"%s\":\"%s\"", key, text);
}

void hf_alert_json(const struct hf_alert *a, struct hf_buffer *out)
{
    hf_buffer_add_text(out, "{\"v\":1,\"type\":\"alert\"");
    add_time(out, "time", a->time);
    add_member(out, "notice", hf_incident_notice_text(a->notice));
    add_member(out, "kind", hf_incident_kind_text(a->kind));
    add_member(out, "severity", hf_alert_severity(a));
    add_member(out, "target", a->target);
    add_member(out, "url", a->url);
    add_time(out, "opened", a->opened);
    add_time(out, "closed", a->closed);
    hf_buffer_addf(out, ",\"count\":%llu", (unsigned long long)a->count);
    add_member(out, "summary", a->summary);
    add_member(out, "cause", a->cause);
    add_member(out, "title", a->title);
    add_member(out, "advice", a->advice);
    add_member(out, "evidence", a->evidence);
    add_member(out, "page", a->page);
    hf_buffer_add_byte(out, '}');
}

/* ---- Slack -------------------------------------------------------------------------------- */

/* Slack's own escapes, then JSON's: a stranger's text must not become a link or a mention. */
static void add_slack(struct hf_buffer *out, const char *text)
{
    for (const char *c = text; *c != '\0';) {
        size_t plain = strcspn(c, "&<>");
        hf_buffer_add_json(out, hf_slice(c, plain));
        c += plain;
        if (*c != '\0') {
            hf_buffer_add_text(out, *c == '&' ? "&amp;" : *c == '<' ? "&lt;" : "&gt;");
            c++;
        }
    }
}

static void add_field(struct hf_buffer *out, const char *title, const char *value, bool *first)
{
    if (value[0] == '\0') {
        return;
    }
    hf_buffer_addf(out, "%s{\"title\":\"%s\",\"value\":\"", *first ? "" : ",", title);
    add_slack(out, value);
    hf_buffer_add_text(out, "\",\"short\":false}");
    *first = false;
}

void hf_alert_slack(const struct hf_alert *a, struct hf_buffer *out)
{
    const char *colour = a->notice == HF_NOTICE_RECOVERY                ? "#2e7d32"
                         : strcmp(hf_alert_severity(a), "warning") == 0 ? "#b26a00"
                                                                        : "#c62828";
    struct hf_buffer line;
    bool first = true;
    hf_buffer_init(&line, out->alloc, 65536);
    hf_alert_line(a, &line);
    hf_buffer_add_byte(&line, '\0');
    hf_buffer_add_text(out, "{\"text\":\"");
    add_slack(out, line.failed ? a->summary : (const char *)line.data);
    hf_buffer_addf(out, "\",\"attachments\":[{\"color\":\"%s\",\"fields\":[", colour);
    if (a->notice != HF_NOTICE_RECOVERY) {
        add_field(out, "Cause", a->title[0] == '\0' ? a->cause : a->title, &first);
        add_field(out, "What to do", a->advice, &first);
        add_field(out, "Evidence", a->evidence, &first);
    }
    add_field(out, "URL", a->url, &first);
    hf_buffer_add_text(out, "]");
    if (a->page[0] != '\0') {
        add_member(out, "title", "holdfast watch");
        add_member(out, "title_link", a->page);
    }
    hf_buffer_addf(out, ",\"ts\":%lld}]}", (long long)(a->time / 1000));
    hf_buffer_reset(&line);
}

/* ---- Alertmanager -------------------------------------------------------------------------- */

/* Labels are what an alert is known by: nothing that changes while it lasts. */
void hf_alert_alertmanager(const struct hf_alert *a, hf_wall until, struct hf_buffer *out)
{
    static const char *const names[] = {"HoldfastDrop", "HoldfastConnect", "HoldfastSlow",
                                        "HoldfastCertificate"};
    hf_buffer_addf(out, "[{\"labels\":{\"alertname\":\"%s\"", names[a->kind]);
    add_member(out, "kind", hf_incident_kind_text(a->kind));
    add_member(out, "severity", hf_alert_severity(a));
    add_member(out, "target", a->target);
    hf_buffer_add_text(out, "},\"annotations\":{\"summary\":\"");
    hf_buffer_add_json(out, hf_slice_of(a->summary));
    hf_buffer_add_byte(out, '"');
    add_member(out, "url", a->url);
    add_member(out, "cause", a->cause);
    add_member(out, "title", a->title);
    add_member(out, "advice", a->advice);
    add_member(out, "evidence", a->evidence);
    hf_buffer_add_byte(out, '}');
    add_time(out, "startsAt", a->opened);
    add_time(out, "endsAt", a->closed != 0 ? a->closed : until);
    if (a->page[0] != '\0') {
        add_member(out, "generatorURL", a->page);
    }
    hf_buffer_add_text(out, "}]");
}

/* ---- a command ------------------------------------------------------------------------------ */

static void add_variable(struct hf_buffer *out, const char *name, const char *value)
{
    hf_buffer_addf(out, "HOLDFAST_%s=%s", name, value);
    hf_buffer_add_byte(out, '\0');
}

void hf_alert_environment(const struct hf_alert *a, struct hf_buffer *out)
{
    char opened[25];
    hf_wall_text(a->opened, opened);
    add_variable(out, "NOTICE", hf_incident_notice_text(a->notice));
    add_variable(out, "KIND", hf_incident_kind_text(a->kind));
    add_variable(out, "SEVERITY", hf_alert_severity(a));
    add_variable(out, "TARGET", a->target);
    add_variable(out, "URL", a->url);
    add_variable(out, "OPENED", opened);
    hf_buffer_addf(out, "HOLDFAST_COUNT=%llu", (unsigned long long)a->count);
    hf_buffer_add_byte(out, '\0');
    add_variable(out, "SUMMARY", a->summary);
    add_variable(out, "CAUSE", a->cause);
    add_variable(out, "TITLE", a->title);
    add_variable(out, "ADVICE", a->advice);
    add_variable(out, "EVIDENCE", a->evidence);
    add_variable(out, "PAGE", a->page);
    hf_buffer_add_text(out, "HOLDFAST_ALERT=");
    hf_alert_json(a, out);
    hf_buffer_add_byte(out, '\0');
}
