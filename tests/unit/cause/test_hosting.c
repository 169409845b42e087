/* SPDX-License-Identifier: Apache-2.0 */
/* Who stands in front: addresses at the edges of the ranges, names, headers. */
#include "cause/hosting.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
/* cmocka needs the four above. */
#include <cmocka.h>

static const char *by_address(const char *text)
{
    uint8_t bytes[16];
    bool is_v6 = strchr(text, ':') != NULL;
    assert_int_equal(inet_pton(is_v6 ? AF_INET6 : AF_INET, text, bytes), 1);
    const struct hf_hosting *h = hf_hosting_by_address(bytes, is_v6 ? 16 : 4);
    return h == NULL ? "" : h->id;
}

struct edge {
    const char *inside_first, *inside_last, *before, *behind, *id;
};

static void an_address_is_known_from_the_first_of_its_range_to_the_last(void **state)
{
    static const struct edge edges[] = {
        {"173.245.48.0", "173.245.63.255", "173.245.47.255", "173.245.64.0", "cloudflare"},
        {"103.21.244.0", "103.21.247.255", "103.21.243.255", "103.21.248.0", "cloudflare"},
        {"141.101.64.0", "141.101.127.255", "141.101.63.255", "141.101.128.0", "cloudflare"},
        {"198.41.128.0", "198.41.255.255", "198.41.127.255", "198.42.0.0", "cloudflare"},
        {"162.158.0.0", "162.159.255.255", "162.157.255.255", "162.160.0.0", "cloudflare"},
        /* 104.16.0.0/12 of old lists is two ranges now, and ends earlier. */
        {"104.16.0.0", "104.27.255.255", "104.15.255.255", "104.28.0.0", "cloudflare"},
        {"172.64.0.0", "172.71.255.255", "172.63.255.255", "172.72.0.0", "cloudflare"},
        {"131.0.72.0", "131.0.75.255", "131.0.71.255", "131.0.76.0", "cloudflare"},
        {"2400:cb00::", "2400:cb00:ffff:ffff:ffff:ffff:ffff:ffff",
         "2400:caff:ffff::", "2400:cb01::", "cloudflare"},
        {"2a06:98c0::", "2a06:98c7:ffff:ffff:ffff:ffff:ffff:ffff",
         "2a06:98bf:ffff::", "2a06:98c8::", "cloudflare"},
        {"2606:4700::1", "2606:4700:ffff::1", "2606:46ff::", "2606:4701::", "cloudflare"},
        {"151.101.0.0", "151.101.255.255", "151.100.255.255", "151.102.0.0", "fastly"},
        {"146.75.0.0", "146.75.127.255", "146.74.255.255", "146.75.128.0", "fastly"},
        {"103.245.222.0", "103.245.223.255", "103.245.221.255", "103.245.225.0", "fastly"},
        {"2a04:4e40::", "2a04:4e40:ffff::", "2a04:4e3f::", "2a04:4e41::", "fastly"},
        {"35.191.0.0", "35.191.255.255", "35.190.255.255", "35.192.0.0", "google"},
        {"130.211.0.0", "130.211.3.255", "130.210.255.255", "130.211.4.0", "google"},
    };
    for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++) {
        assert_string_equal(by_address(edges[i].inside_first), edges[i].id);
        assert_string_equal(by_address(edges[i].inside_last), edges[i].id);
        assert_string_equal(by_address(edges[i].before), "");
        assert_string_equal(by_address(edges[i].behind), "");
    }
}

static void an_ipv4_address_in_ipv6_clothes_is_the_same_address(void **state)
{
    assert_string_equal(by_address("::ffff:104.16.1.1"), "cloudflare");
    assert_string_equal(by_address("::ffff:127.0.0.1"), "");
    assert_string_equal(by_address("127.0.0.1"), "");
    assert_string_equal(by_address("::1"), "");
    const uint8_t few[3] = {104, 16, 0};
    assert_null(hf_hosting_by_address(few, sizeof(few)));
    assert_null(hf_hosting_by_address(few, 0));
}

static const char *by_cname(const char *name)
{
    const struct hf_hosting *h = hf_hosting_by_cname(hf_slice_of(name));
    return h == NULL ? "" : h->id;
}

static void a_name_is_known_by_its_end_at_a_dot(void **state)
{
    assert_string_equal(by_cname("d111.cloudfront.net"), "cloudfront");
    assert_string_equal(by_cname("D111.CloudFront.NET."), "cloudfront");
    assert_string_equal(by_cname("www.example.com.cdn.cloudflare.net"), "cloudflare");
    assert_string_equal(by_cname("cloudfront.net"), "cloudfront");
    assert_string_equal(by_cname("notcloudfront.net"), "");
    assert_string_equal(by_cname("cloudfront.net.example.com"), "");
    assert_string_equal(by_cname("my-1.eu-west-1.elb.amazonaws.com"), "aws-elb");
    assert_string_equal(by_cname("e1.a.akamaiedge.net"), "akamai");
    assert_string_equal(by_cname("prod.fastlylb.net"), "fastly");
    assert_string_equal(by_cname("x.herokudns.com"), "heroku");
    assert_string_equal(by_cname("x.azurefd.net"), "azure-frontdoor");
    assert_string_equal(by_cname("example.com"), "");
    assert_string_equal(by_cname("."), "");
    assert_string_equal(by_cname(""), "");
}

static const char *by_header(const char *name, const char *value)
{
    const struct hf_hosting *h = hf_hosting_by_header(hf_slice_of(name), hf_slice_of(value));
    return h == NULL ? "" : h->id;
}

static void a_header_names_the_host(void **state)
{
    assert_string_equal(by_header("CF-RAY", "8f0a1b2c3d4e5f60-FRA"), "cloudflare");
    assert_string_equal(by_header("server", "Cloudflare"), "cloudflare");
    assert_string_equal(by_header("Via", "1.1 abc.cloudfront.net (CloudFront)"), "cloudfront");
    assert_string_equal(by_header("X-Cache", "Error from cloudfront"), "cloudfront");
    assert_string_equal(by_header("X-Cache", "HIT"), "");
    assert_string_equal(by_header("via", "1.1 google"), "google");
    assert_string_equal(by_header("via", "1.1 vegur"), "heroku");
    assert_string_equal(by_header("server", "nginx/1.22.1"), "nginx");
    assert_string_equal(by_header("server", "Daphne"), "daphne");
    assert_string_equal(by_header("server", "istio-envoy"), "istio");
    assert_string_equal(by_header("server", "envoy"), "envoy");
    assert_string_equal(by_header("server", "Python/3.11 websockets/10.4"), "websockets");
    assert_string_equal(by_header("x-served-by", "cache-fra-1"), "fastly");
    assert_string_equal(by_header("x-served-by", "web-1"), "");
    assert_string_equal(by_header("server", ""), "");
    assert_string_equal(by_header("", ""), "");
}

static void every_host_is_found_by_its_id(void **state)
{
    for (size_t i = 0; i < hf_hosting_count(); i++) {
        const struct hf_hosting *h = hf_hosting_at(i);
        assert_non_null(h->id);
        assert_true(h->name[0] != '\0');
        assert_ptr_equal(hf_hosting_find(hf_slice_of(h->id)), h);
    }
    assert_null(hf_hosting_find(HF_LITERAL("nobody")));
    assert_true(hf_hosting_find(HF_LITERAL("cloudflare"))->is_cdn);
    assert_false(hf_hosting_find(HF_LITERAL("nginx"))->is_cdn);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_is_known_from_the_first_of_its_range_to_the_last),
        cmocka_unit_test(an_ipv4_address_in_ipv6_clothes_is_the_same_address),
        cmocka_unit_test(a_name_is_known_by_its_end_at_a_dot),
        cmocka_unit_test(a_header_names_the_host),
        cmocka_unit_test(every_host_is_found_by_its_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
