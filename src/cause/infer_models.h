/* SPDX-License-Identifier: Apache-2.0 */
/* The models of infer: each says when every trial should have ended, and is fitted to what did. */
#ifndef HF_CAUSE_INFER_MODELS_H
#define HF_CAUSE_INFER_MODELS_H

#include "cause/infer_facts.h"

/* No model earns more by a death than this density, per second: which of two hits a fifth of a
 * second more sharply is chance, and would outweigh what they do not explain. */
#define DENSITY_MOST 5.0

/* How far from its moment an end may be seen: exact, or with the delays of a loaded machine. The
 * same for all models, in seconds. */
#define SPREADS 3
/* Density so long (or below 0: so much earlier) after the moment. */
double spread_density(unsigned spread, double x);
/* Likelihood that it was seen by then. */
double spread_by(unsigned spread, double x);

enum model {
    MODEL_NONE,
    MODEL_LIFETIME,
    MODEL_IDLE,
    MODEL_WATCHDOG,
    MODEL_COUNT,  /* messages over the life */
    MODEL_RATE,   /* messages in a window */
    MODEL_BUCKET, /* messages against a bucket that fills again */
    MODEL_SIZE,
    MODEL_RESTART,
    MODEL_BLOCKED,  /* the server stops, then it ends */
    MODEL_STALLING, /* the server stops, and comes back */
    MODEL_FLAT,     /* ends at any age */
    MODEL_OUTAGE,   /* silence for all at one instant */
    MODEL_FRAME,    /* a kind of frame kills */
    MODEL_HANDSHAKE,
};

/* One model with the parameters that fit best. */
struct fit {
    enum model model;
    enum hf_verdict_class class;
    double score; /* log of likelihood, prior share and the price of the parameters */
    double value, low, high;
    double waits;    /* the watchdog's own patience, or how long after the frame it dies */
    uint16_t resets; /* idle timer; or the kinds that a counter counts, or that a frame is */
    struct watchdog watchdog;
    double window, per_second, server_messages;
    size_t explained;   /* deaths that it foretells */
    size_t unexplained; /* deaths that it does not */
    size_t lived;       /* connections that it lets live, and that lived clearly beyond */
    size_t instants;    /* of a restart */
    bool tight;         /* a known relation ties its parameter to something else that was seen */
};

#define FITS_MAX 240
struct fits {
    struct fit list[FITS_MAX];
    size_t count;
};
/* Ignored when there is no room or the score is not finite. */
void fits_add(struct fits *fits, const struct fit *fit);

#define TIMER_LEAST 0.15 /* seconds: shorter pauses are not held for timers */
/* Fits a timer of at least so long to e->reach (as filled by the caller); value is the gap. With
 * scans: also the shape of a server that looks every two seconds. False when nothing died near any
 * gap. */
bool fit_timer(struct evidence *e, bool scans, double least, struct fit *fit);
/* Density of a death at gap x under the timer that was fitted tightly. */
double timer_density(double x, double timer);

void fit_idle(struct evidence *e, struct fits *fits);
void fit_lifetime(struct evidence *e, struct fits *fits);
void fit_watchdog(struct evidence *e, struct fits *fits);
/* Whoever keeps pongs back dies of the server's watchdog, whatever kills the others: raises their
 * floor. Also for those that send what is too large. True when it did. */
bool raise_floors(struct evidence *e, const struct fits *fits);
void fit_counts(struct evidence *e, struct fits *fits);
void fit_frames(struct evidence *e, struct fits *fits);
void fit_size(struct evidence *e, struct fits *fits);
void fit_restart(struct evidence *e, struct fits *fits);
void fit_blocked(struct evidence *e, struct fits *fits);
void fit_stalling(struct evidence *e, struct fits *fits);
void fit_network(struct evidence *e, struct fits *fits);
void fit_none(struct evidence *e, struct fits *fits);
void fit_handshake(struct evidence *e, struct fits *fits);

#endif
