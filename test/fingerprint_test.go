package test

import (
	"crypto/md5"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/internal/testnet"
)

// fingerprinting is a sidecar whose access log has the fingerprints of whoever
// speaks TLS to port 8443.
const fingerprinting = head + quickDrain + `listeners:
- name: inbound
  address: 0.0.0.0:15006
  direction: inbound
  interception_mode: redirect
  listener_filters: [tls_inspector]
  tls_inspector: {enable_ja3_fingerprinting: true, enable_ja4_fingerprinting: true}
  filter_chains:
  - {match: {destination_port: 8443, transport_protocol: tls}, tcp_proxy: {cluster: app}}
  default_filter_chain: {tcp_proxy: {cluster: app}}
clusters:
- {name: app, type: original_dst, upstream_bind_address: 127.0.0.6}
`

// TestFingerprints has real TLS clients go through sluice to a server of
// crypto/tls, and compares the fingerprints in the access log with those that the
// definitions give for what crypto/tls has read.
func TestFingerprints(t *testing.T) {
	t.Parallel()
	testnet.Need(t, "openssl", "curl")
	w := newWorld(t)
	server := newPlace(w, w.pod, "server")
	hellos := serveHellos(server, podIP+":8443")
	serveGreeting(w, w.pod, "0.0.0.0:7000")
	w.applyRules(redirect)
	s := startSidecar(w, fingerprinting, asSidecar(redirect))

	const address = podIP + ":8443"
	sClient := func(flags string) []string {
		return []string{"sh", "-c", "exec openssl s_client -brief -connect " + address + " " + flags + " </dev/null 2>&1"}
	}
	curl := func(flags ...string) []string { return append([]string{"curl", "-sSfk"}, flags...) }
	byName := []string{"--resolve", "reviews:8443:" + podIP, "https://reviews:8443/"}
	type clientCase struct {
		name    string
		command []string
		begins  string // of JA4, by hand
	}
	for _, tc := range []clientCase{
		{"openssl", sClient("-servername reviews -alpn h2,http/1.1"), "t13d"},
		{"openssl without name", sClient("-noservername"), "t13i"},
		{"openssl TLS 1.2", sClient("-servername reviews -tls1_2"), "t12d"},
		{"openssl, few ciphers", sClient("-servername reviews -ciphersuites TLS_AES_128_GCM_SHA256 -tls1_3 -groups P-256"), "t13d0210"},
		{"curl", curl(byName...), "t13d"},
		{"curl HTTP/1.1", curl(append([]string{"--http1.1", "--tls-max", "1.2"}, byName...)...), "t12d"},
		{"curl by address", curl("https://" + address + "/"), "t13i"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := s.in(t)
			before := len(s.records())
			s.w.client.Run(tc.command[0], tc.command[1:]...)
			hello := <-hellos
			r := s.waitRecords(before+1, func(record) bool { return true })[before]
			if want := ja3Of(hello); r.JA3 != want {
				t.Errorf("JA3 %s, want %s", r.JA3, want)
			}
			if want := ja4Of(hello); r.JA4 != want || !strings.HasPrefix(want, tc.begins) {
				t.Errorf("JA4 %s, want %s, which begins with %s", r.JA4, want, tc.begins)
			}
		})
	}
	t.Run("no chain asks", func(t *testing.T) {
		if _, _, r := converse(s.in(t), w.client, podIP+":7000"); r.JA3 != "" || r.JA4 != "" {
			t.Errorf("fingerprints %q and %q of a server that speaks first", r.JA3, r.JA4)
		}
	})
}

// serveHellos is a TLS server that answers with HTTP, and tells the first flights
// that it has read.
func serveHellos(p *place, address string) <-chan *tls.ClientHelloInfo {
	p.Helper()
	key, cert, _ := makeCertificate(p)
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		p.Fatal(err)
	}
	hellos := make(chan *tls.ClientHelloInfo, 1)
	config := &tls.Config{Certificates: []tls.Certificate{pair}, GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		hellos <- hello
		return nil, nil
	}}
	serve(p, p.host.Listen("tcp", address), func(conn *net.TCPConn) {
		client := tls.Server(conn, config)
		if client.Handshake() == nil {
			_, _ = io.WriteString(client, "HTTP/1.0 200 OK\r\n\r\nhello\n")
			_ = client.CloseWrite()
			_, _ = io.Copy(io.Discard, client)
		}
	})
	return hellos
}

// ja3Of is https://github.com/salesforce/ja3, for clients that speak TLS 1.2 or
// more: they have 771 as the version outside of all extensions.
func ja3Of(hello *tls.ClientHelloInfo) string {
	text := strings.Join([]string{"771", decimals(hello.CipherSuites), decimals(hello.Extensions), decimals(hello.SupportedCurves), decimals(hello.SupportedPoints)}, ",")
	return fmt.Sprintf("%x", md5.Sum([]byte(text)))
}

func decimals[T ~uint8 | ~uint16](list []T) string {
	var words []string
	for _, n := range list {
		if !isGREASE(uint16(n)) {
			words = append(words, fmt.Sprint(uint16(n))) // and not its name
		}
	}
	return strings.Join(words, "-")
}

// ja4Of is https://github.com/FoxIO-LLC/ja4/blob/main/technical_details/JA4.md.
func ja4Of(hello *tls.ClientHelloInfo) string {
	const serverName, alpn = 0, 16
	named, protocol := "i", "00"
	if slices.Contains(hello.Extensions, serverName) {
		named = "d"
	}
	if len(hello.SupportedProtos) > 0 {
		first := hello.SupportedProtos[0]
		protocol = first[:1] + first[len(first)-1:]
	}
	ciphers, extensions := hexadecimals(hello.CipherSuites), hexadecimals(hello.Extensions)
	a := fmt.Sprintf("t%d%s%02d%02d%s", 10+slices.Max(hello.SupportedVersions)-tls.VersionTLS10, named, len(ciphers), len(extensions), protocol)
	slices.Sort(ciphers)
	slices.Sort(extensions)
	others := slices.DeleteFunc(extensions, func(e string) bool {
		return e == fmt.Sprintf("%04x", serverName) || e == fmt.Sprintf("%04x", alpn)
	})
	c := strings.Join(others, ",")
	if schemes := hexadecimals(hello.SignatureSchemes); len(schemes) > 0 {
		c += "_" + strings.Join(schemes, ",")
	}
	return strings.Join([]string{a, short(strings.Join(ciphers, ",")), short(c)}, "_")
}

func hexadecimals[T ~uint16](list []T) []string {
	var words []string
	for _, n := range list {
		if !isGREASE(uint16(n)) {
			words = append(words, fmt.Sprintf("%04x", uint16(n)))
		}
	}
	return words
}

func short(text string) string {
	sum := sha256.Sum256([]byte(text))
	return fmt.Sprintf("%x", sum[:6])
}

// isGREASE tells the values of RFC 8701.
func isGREASE(n uint16) bool { return n>>8 == n&0xff && n&0xf == 0xa }
