package admin

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"go.uber.org/zap"
)

// guard lets requests through that nobody's web page could have made. A page
// whose name resolves to 127.0.0.1 (DNS rebinding) still sends its own name
// as Host; a page that posts to 127.0.0.1 says where it is from.
type guard struct {
	host string // of the configured address; empty for a unix socket
	next http.Handler
}

func newGuard(address string, log *zap.Logger, next http.Handler) http.Handler {
	safe := http.NewCrossOriginProtection().Handler(next)
	if _, isUnix := unixPath(address); isUnix {
		// No web page can reach a unix socket, and its clients send any Host.
		return safe
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	if !isLoopback(host) {
		log.Warn("the admin API listens on an address that is not loopback: whoever reaches it can stop this proxy",
			zap.String("address", address), zap.String("key", "admin.address"))
	}
	return &guard{host: host, next: safe}
}

// ServeHTTP implements http.Handler.
func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !g.local(r) {
		http.Error(w, "Host "+safeText(r.Host)+" is not local; use localhost, a loopback address, or the configured admin.address", http.StatusForbidden)
		return
	}
	g.next.ServeHTTP(w, r)
}

// local says whether the Host header names this server by an address. No
// header at all (HTTP/1.0) is allowed: browsers always send one.
func (g *guard) local(r *http.Request) bool {
	host := r.Host
	if host == "" || isLoopback(hostOnly(host)) {
		return true
	}
	host = hostOnly(host)
	if strings.EqualFold(host, g.host) {
		return true
	}
	// Listening on 0.0.0.0 or [::]: the address that was connected to. It is
	// no name, so no page can have made it point here.
	asked, err := netip.ParseAddr(host)
	connected, isTCP := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return err == nil && isTCP && asked.Unmap() == connected.AddrPort().Addr().Unmap().WithZone("")
}

func hostOnly(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.Unmap().IsLoopback()
}

// safeText cuts and quotes what a client sent, before it is shown.
func safeText(s string) string {
	const limit = 100
	if len(s) > limit {
		s = s[:limit]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}
