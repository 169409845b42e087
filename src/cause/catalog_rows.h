/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the catalogue, one for each file, for catalog.c alone. */
#ifndef HF_CAUSE_CATALOG_ROWS_H
#define HF_CAUSE_CATALOG_ROWS_H

#include "cause/catalog.h"

struct hf_catalog_part {
    const struct hf_catalog_row *rows;
    size_t count;
};
#define HF_CATALOG_PART(name, table)                                                               \
    const struct hf_catalog_part name = {table, sizeof(table) / sizeof((table)[0])}

extern const struct hf_catalog_part hf_catalog_cdn;
extern const struct hf_catalog_part hf_catalog_balancer;
extern const struct hf_catalog_part hf_catalog_proxy;
extern const struct hf_catalog_part hf_catalog_mesh;
extern const struct hf_catalog_part hf_catalog_server;
extern const struct hf_catalog_part hf_catalog_framework;
extern const struct hf_catalog_part hf_catalog_client;
extern const struct hf_catalog_part hf_catalog_operation;

/* Sets of enum hf_trial_how that many rows share. */
#define HF_CAN(how) (1 << HF_HOW_##how)
#define HF_CAN_DROP (HF_CAN(FIN) | HF_CAN(TLS)) /* a clean end of TCP without a Close frame */
#define HF_CAN_FADE (HF_CAN(SILENCE) | HF_CAN(TIMEOUT)) /* no end of TCP at all */

#endif
