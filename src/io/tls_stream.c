/* SPDX-License-Identifier: Apache-2.0 */
/* TLS over a stream. */
#include "io/tls_stream.h"

enum hf_status hf_tls_attach(struct stream *s, const struct hf_tls_how *how)
{
    return HF_INVALID;
}
enum hf_status hf_tls_start(struct hf_stream *stream, const struct hf_tls_how *how)
{
    return HF_INVALID;
}
void hf_tls_work(struct stream *s) {}
bool hf_tls_flush(struct stream *s)
{
    return true;
}
bool hf_tls_lingers(struct stream *s)
{
    return false;
}
void hf_tls_linger_event(struct stream *s, uint32_t events) {}
void hf_tls_free(struct stream_tls *tls) {}
bool hf_tls_has_more(const struct stream_tls *tls)
{
    return false;
}
const char *hf_tls_detail(const struct stream_tls *tls)
{
    return "";
}
enum hf_status hf_tls_move(struct stream *s)
{
    return HF_OK;
}
void hf_tls_progress(const struct stream *s, struct hf_progress *progress) {}
