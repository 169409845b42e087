/* SPDX-License-Identifier: Apache-2.0 */
/* The rules, each once: what --rules, SARIF, docs/lint.md and the manual page say of them.
 * row(enum name, id, server, severity, title, why, fix). Severity: error: WebSockets do not work at
 * all; warning: connections will die, or clients cannot come back; note: something to know when
 * they do. */
#ifndef HF_LINT_RULES_H
#define HF_LINT_RULES_H

#include "base/slice.h"

#define HF_LINT_RULES_TABLE(row)                                                                   \
    HF_LINT_RULES_NGINX(row) HF_LINT_RULES_HAPROXY(row) HF_LINT_RULES_CADDY(row)

/* clang-format off */
#define HF_LINT_RULES_NGINX(row) \
    row(UNREADABLE, "unreadable", "any", ERROR, "a file or a part of it cannot be read", \
        "What is not read is not checked, and the server itself may refuse it.", \
        "let the server check it: nginx -t, haproxy -c -f FILE, caddy validate --config FILE") \
    row(NGINX_UPGRADE_MISSING, "nginx-upgrade-missing", "nginx", ERROR, "Upgrade does not reach the backend", \
        "Upgrade and Connection are hop-by-hop: nginx drops them unless they are set again, and the backend answers 400, 404 or 426 instead of 101.", \
        "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;") \
    row(NGINX_CONNECTION_MISSING, "nginx-connection-missing", "nginx", ERROR, "Connection does not say upgrade", \
        "Without `Connection: upgrade` the Upgrade header means nothing; nginx sends `Connection: close` by itself.", \
        "proxy_set_header Connection $connection_upgrade;") \
    row(NGINX_HTTP_VERSION, "nginx-http-version", "nginx", ERROR, "the backend is spoken to in HTTP/1.0", \
        "An upgrade needs HTTP/1.1, and before nginx 1.29.7 proxied requests are HTTP/1.0 by default.", \
        "proxy_http_version 1.1;") \
    row(NGINX_HEADERS_LOST, "nginx-headers-lost", "nginx", ERROR, "proxy_set_header of an outer block is lost", \
        "proxy_set_header lines are inherited only by a block that has none of its own: one line here takes away all of the outer ones, Upgrade and Connection among them.", \
        "repeat all proxy_set_header lines in this block, or put them in a file and include it in both") \
    row(NGINX_CONNECTION_CONSTANT, "nginx-connection-constant", "nginx", NOTE, "every request asks for an upgrade", \
        "A constant `Connection: upgrade` is sent for plain requests too; connections to the backend are then never kept alive, and some backends refuse such requests.", \
        "map $http_upgrade $connection_upgrade { default upgrade; '' close; } and proxy_set_header Connection $connection_upgrade;") \
    row(NGINX_MAP_WITHOUT_EMPTY, "nginx-map-without-empty", "nginx", NOTE, "the map says upgrade for plain requests too", \
        "A request without an Upgrade header takes the map's default, which is upgrade here.", \
        "'' close;") \
    row(NGINX_READ_TIMEOUT, "nginx-read-timeout", "nginx", WARNING, "a quiet WebSocket is cut by proxy_read_timeout", \
        "nginx ends an upgraded connection on which no byte went by, either way, for proxy_read_timeout (60 s when it is not set), without a Close frame: clients see 1006.", \
        "proxy_read_timeout 3600s;") \
    row(NGINX_SEND_TIMEOUT, "nginx-send-timeout", "nginx", NOTE, "a backend that stops reading for a short time is given up", \
        "When the backend takes nothing for proxy_send_timeout, as in a blocked event loop, nginx ends the connection.", \
        "proxy_send_timeout 60s;") \
    row(NGINX_TIMEOUT_UNIT, "nginx-timeout-unit", "nginx", NOTE, "a timeout of more than a day looks like milliseconds", \
        "A bare number is seconds in nginx; 3600000 keeps dead connections for 41 days.", \
        "proxy_read_timeout 3600s;") \
    row(NGINX_SHUTDOWN_TIMEOUT, "nginx-shutdown-timeout", "nginx", WARNING, "every reload cuts all WebSockets after worker_shutdown_timeout", \
        "Old workers keep their WebSockets after a reload until this time is over; then all of them end in the same second.", \
        "worker_shutdown_timeout 1h;") \
    row(NGINX_HOST_MISSING, "nginx-host-missing", "nginx", WARNING, "the backend does not see the Host that the client asked for", \
        "Without it the Host is the name in proxy_pass; frameworks that compare Origin with Host, or list allowed hosts, then refuse the handshake with 403.", \
        "proxy_set_header Host $host;") \
    row(NGINX_ORIGIN_CLEARED, "nginx-origin-cleared", "nginx", WARNING, "the Origin header is taken away or replaced", \
        "The backend's check of the page's origin then fails, or checks nothing.", \
        "leave Origin alone: remove this line") \
    row(NGINX_CONNECTIONS_FEW, "nginx-connections-few", "nginx", WARNING, "few worker_connections for connections that stay", \
        "Each proxied WebSocket takes two of them for as long as it lives; when they are used up, handshakes get 500.", \
        "worker_connections 16384;") \
    row(NGINX_NOFILE, "nginx-nofile", "nginx", WARNING, "fewer descriptors than worker_connections", \
        "worker_rlimit_nofile is the smaller number, so accept fails before worker_connections are used up.", \
        "worker_rlimit_nofile at least as large as worker_connections") \
    row(NGINX_LOG_LEVEL, "nginx-log-level", "nginx", NOTE, "the error log hides that nginx itself cut a WebSocket", \
        "`upstream timed out ... while proxying upgraded connection` is written at level info; at a higher level nothing tells of it.", \
        "error_log /var/log/nginx/error.log info;") \
    row(NGINX_LOG_TIME, "nginx-log-time", "nginx", NOTE, "the access log does not say how long a WebSocket lived", \
        "The line is written when it ends; with $request_time in its format, the ages show every timer on the way (`holdfast logs` reads them).", \
        "log_format timed '$remote_addr [$time_local] \"$request\" $status $body_bytes_sent rt=$request_time urt=$upstream_response_time';") \
    row(NGINX_LIMIT_HANDSHAKES, "nginx-limit-handshakes", "nginx", WARNING, "a limit on requests or connections hits reconnecting clients", \
        "After a restart all clients come back at once, and many share one address; a low limit_req or limit_conn turns them away (503).", \
        "limit_req zone=... burst=200 nodelay; or no such limit on this location") \
    row(NGINX_REDIRECT, "nginx-redirect", "nginx", WARNING, "a WebSocket path is answered with a redirect", \
        "Browsers follow no redirect on a WebSocket handshake: they report 1006 and nothing else.", \
        "let clients use the final URL (wss://), and proxy this location") \
    row(NGINX_KEEPALIVE_DEAD, "nginx-keepalive-dead", "nginx", NOTE, "dead peers are found only when a long timeout ends", \
        "With a long proxy_read_timeout and TCP keepalive off, a connection whose peer vanished stays open until then.", \
        "proxy_socket_keepalive on; and so_keepalive=on on listen") \
    row(NGINX_UPGRADE_CONSTANT, "nginx-upgrade-constant", "nginx", WARNING, "every request is given an Upgrade header", \
        "A constant Upgrade turns plain requests into handshakes that the backend refuses.", \
        "proxy_set_header Upgrade $http_upgrade;")

#define HF_LINT_RULES_HAPROXY(row) \
    row(HAPROXY_TUNNEL_MISSING, "haproxy-tunnel-missing", "haproxy", WARNING, "no timeout tunnel: the short timeouts of requests cut WebSockets", \
        "After the 101 the smaller of timeout client and timeout server goes on to apply, unless timeout tunnel is set for the backend.", \
        "timeout tunnel 1h") \
    row(HAPROXY_TUNNEL_SHORT, "haproxy-tunnel-short", "haproxy", WARNING, "a quiet WebSocket is cut by timeout tunnel", \
        "HAProxy ends a tunnel on which no byte went by, either way, for this long, without a Close frame: clients see 1006.", \
        "timeout tunnel 1h") \
    row(HAPROXY_TUNNEL_IN_FRONTEND, "haproxy-tunnel-in-frontend", "haproxy", ERROR, "timeout tunnel in a frontend does nothing", \
        "It belongs to the backend side: defaults, backend or listen. HAProxy warns about it and ignores it.", \
        "move it to the backend, or to defaults") \
    row(HAPROXY_UNIT, "haproxy-unit", "haproxy", WARNING, "a timeout without a unit is in milliseconds", \
        "`timeout tunnel 3600` is 3.6 seconds.", \
        "write the unit: 3600s") \
    row(HAPROXY_HARD_STOP, "haproxy-hard-stop", "haproxy", WARNING, "every reload cuts all WebSockets after hard-stop-after", \
        "The old process keeps its tunnels until this time is over, then kills all of them at once.", \
        "hard-stop-after 1h, with close-spread-time so that they do not come back together") \
    row(HAPROXY_HARD_STOP_UNSET, "haproxy-hard-stop-unset", "haproxy", NOTE, "old processes stay for as long as one WebSocket lives", \
        "Without hard-stop-after every reload leaves a process behind that ends with its last tunnel, perhaps never.", \
        "hard-stop-after 12h") \
    row(HAPROXY_CLIENT_FIN, "haproxy-client-fin", "haproxy", NOTE, "half-closed tunnels stay for the whole timeout tunnel", \
        "When a client has left, its connection to the backend is kept until timeout tunnel, unless timeout client-fin is set.", \
        "timeout client-fin 30s") \
    row(HAPROXY_UPGRADE_REMOVED, "haproxy-upgrade-removed", "haproxy", ERROR, "the headers of the upgrade are removed or replaced", \
        "Upgrade, Connection and Sec-WebSocket-* must reach the backend as they came; else it answers something other than 101.", \
        "remove this rule, or let it spare requests with an Upgrade header") \
    row(HAPROXY_MARKED_DOWN, "haproxy-marked-down", "haproxy", WARNING, "one failed health check cuts all WebSockets of a server", \
        "on-marked-down shutdown-sessions kills every tunnel when checks say that the server is down, also when it is only busy.", \
        "leave it out, or raise fall and inter") \
    row(HAPROXY_NO_STICKINESS, "haproxy-no-stickiness", "haproxy", WARNING, "Socket.IO or SockJS over several servers without stickiness", \
        "Their sessions begin with HTTP requests that must all reach the same server; else they get 400 `Session ID unknown`.", \
        "cookie SRV insert indirect nocache (and cookie on each server), or balance source") \
    row(HAPROXY_LOG, "haproxy-log", "haproxy", NOTE, "the log does not say how tunnels end", \
        "Only the HTTP log has the age and the termination state (cD, SD, K-) of a WebSocket.", \
        "option httplog") \
    row(HAPROXY_TCP_KEEPALIVE, "haproxy-tcp-keepalive", "haproxy", NOTE, "dead peers are found only when a long timeout ends", \
        "With a long timeout tunnel and no TCP keepalive, a tunnel whose client vanished stays open until then.", \
        "option clitcpka and option srvtcpka") \
    row(HAPROXY_MAXCONN, "haproxy-maxconn", "haproxy", WARNING, "a low maxconn for connections that stay", \
        "A WebSocket holds its place for as long as it lives; when they are used up, new handshakes wait in the queue until they time out.", \
        "maxconn 20000") \
    row(HAPROXY_HTTP_CLOSE, "haproxy-http-close", "haproxy", NOTE, "option httpclose on the way of WebSockets", \
        "It adds `Connection: close` to requests and answers; HAProxy spares upgrades, other hops that see both words may not.", \
        "option http-server-close, or neither")

#define HF_LINT_RULES_CADDY(row) \
    row(CADDY_STREAM_CLOSE, "caddy-stream-close", "caddy", WARNING, "every reload of the configuration closes all WebSockets at once", \
        "Without stream_close_delay (Caddy 2.7 and later) a reload sends 1001 to every WebSocket of the old configuration.", \
        "stream_close_delay 5m") \
    row(CADDY_STREAM_TIMEOUT, "caddy-stream-timeout", "caddy", WARNING, "stream_timeout is a lifetime: traffic does not extend it", \
        "Every WebSocket ends at this age.", \
        "remove stream_timeout") \
    row(CADDY_UPGRADE_REMOVED, "caddy-upgrade-removed", "caddy", ERROR, "the headers of the upgrade are removed or replaced", \
        "Caddy passes Upgrade and Connection by itself; header_up takes them away here.", \
        "remove this header_up line") \
    row(CADDY_CONNECTION_MATCHER, "caddy-connection-matcher", "caddy", ERROR, "a matcher that misses Firefox's handshake", \
        "Firefox sends `Connection: keep-alive, Upgrade`; a matcher for `Upgrade` alone does not take it, and the request goes elsewhere.", \
        "header Connection *Upgrade*") \
    row(CADDY_HTTP2_UPSTREAM, "caddy-http2-upstream", "caddy", ERROR, "the backend is spoken to in HTTP/2 only", \
        "The upgrade of a WebSocket needs HTTP/1.1 to the backend.", \
        "versions 1.1") \
    row(CADDY_HOST_REPLACED, "caddy-host-replaced", "caddy", WARNING, "the backend does not see the Host that the client asked for", \
        "Frameworks that compare Origin with Host, or list allowed hosts, then refuse the handshake with 403.", \
        "remove this header_up Host line: Caddy passes the Host on") \
    row(CADDY_ORIGIN_CLEARED, "caddy-origin-cleared", "caddy", WARNING, "the Origin header is taken away or replaced", \
        "The backend's check of the page's origin then fails, or checks nothing.", \
        "remove this header_up Origin line") \
    row(CADDY_NO_STICKINESS, "caddy-no-stickiness", "caddy", WARNING, "Socket.IO or SockJS over several servers without stickiness", \
        "Their sessions begin with HTTP requests that must all reach the same server; else they get 400 `Session ID unknown`.", \
        "lb_policy cookie") \
    row(CADDY_REDIRECT, "caddy-redirect", "caddy", WARNING, "a WebSocket path is answered with a redirect", \
        "Browsers follow no redirect on a WebSocket handshake: they report 1006 and nothing else.", \
        "let clients use the final URL (wss://), and proxy this path") \
    row(CADDY_READ_TIMEOUT, "caddy-read-timeout", "caddy", NOTE, "read_timeout or write_timeout towards the backend", \
        "They are for requests; a backend that is quiet for longer before its 101 gets 502.", \
        "leave them out, or make them longer than the application's slowest accept")
/* clang-format on */

enum hf_lint_severity { HF_LINT_ERROR, HF_LINT_WARNING, HF_LINT_NOTE };

enum hf_lint_rule {
#define HF_LINT_ENUM(name, id, server, severity, title, why, fix) HF_LINT_##name,
    HF_LINT_RULES_TABLE(HF_LINT_ENUM)
#undef HF_LINT_ENUM
        HF_LINT_RULE_COUNT,
};

struct hf_lint_rule_facts {
    const char *id;     /* public, never changes its meaning */
    const char *server; /* nginx haproxy caddy any */
    enum hf_lint_severity severity;
    const char *title, *why, *fix;
};

const struct hf_lint_rule_facts *hf_lint_rule_facts(enum hf_lint_rule rule);
/* HF_LINT_RULE_COUNT when there is no such rule. */
enum hf_lint_rule hf_lint_rule_find(struct hf_slice id);
/* error warning note */
const char *hf_lint_severity_text(enum hf_lint_severity severity);

#endif
