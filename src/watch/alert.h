/* SPDX-License-Identifier: Apache-2.0 */
/* An alert, a reminder or a recovery as it goes out: one struct, and the shapes that channels take
 * it in. Pure. */
#ifndef HF_WATCH_ALERT_H
#define HF_WATCH_ALERT_H

#include "base/buffer.h"
#include "base/time.h"
#include "watch/incident.h"

struct hf_alert { /* all texts are borrowed; "" where there is none, never NULL */
    enum hf_incident_notice notice;
    enum hf_incident_kind kind;
    const char *target;
    const char *url;      /* without secrets */
    hf_wall time;         /* now */
    hf_wall opened;       /* of the incident */
    hf_wall closed;       /* 0: it is open */
    uint64_t count;       /* how often it was seen */
    const char *summary;  /* one sentence: what is wrong */
    const char *cause;    /* id in the catalogue, or "unknown" */
    const char *title;    /* of the cause */
    const char *advice;   /* what to do */
    const char *evidence; /* how it is known */
    const char *page;     /* address of the status page */
};

/* critical, or warning for slow and certificate. */
const char *hf_alert_severity(const struct hf_alert *a);
/* One line for people: "chat: dropped after 24 s ..." */
void hf_alert_line(const struct hf_alert *a, struct hf_buffer *out);
/* The alert as one JSON object: docs/watch.md. */
void hf_alert_json(const struct hf_alert *a, struct hf_buffer *out);
/* The body of a post to an incoming webhook of Slack (and of those that take the same). */
void hf_alert_slack(const struct hf_alert *a, struct hf_buffer *out);
/* The body of POST /api/v2/alerts of Alertmanager; it lasts until `until` unless it is sent again.
 */
void hf_alert_alertmanager(const struct hf_alert *a, hf_wall until, struct hf_buffer *out);
/* The variables of a command, NAME=value, each ended with NUL. */
void hf_alert_environment(const struct hf_alert *a, struct hf_buffer *out);

#endif
