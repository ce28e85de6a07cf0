package test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/internal/testnet"
)

// askingChains ask for all that inspection finds.
func askingChains() []string {
	return []string{
		"named-h2: {server_names: [a.example], application_protocols: [h2]}",
		"named: {server_names: [a.example]}",
		"wildcard: {server_names: [\"*.example\"]}",
		"tls: {transport_protocol: tls}",
		"http: {transport_protocol: raw_buffer, application_protocols: [http/1.1]}",
		"h2c: {transport_protocol: raw_buffer, application_protocols: [h2c]}",
	}
}

// chosen is what the access log says about why a connection went where it went.
type chosen struct{ chain, name, transport, application string }

func (r record) chosen() chosen { return chosen{r.Chain, r.ServerName, r.Transport, r.Application} }

// clientCase is a real client, which must get what it asks for, by one chain.
type clientCase struct {
	name string
	port int
	args []string
	want chosen
}

const tlsPort, httpPort, proxiedPort, mixedPort = 4433, 8080, 4434, 4435

func openssl(name string, port int, want chosen, args ...string) clientCase {
	return clientCase{"openssl " + name, port, append([]string{"openssl", "s_client", "-brief", "-connect", fmt.Sprintf("%s:%d", podIP, port)}, args...), want}
}

func curl(name string, port int, want chosen, args ...string) clientCase {
	return clientCase{"curl " + name, port, append([]string{"curl", "-sSfk", "--max-time", "30", "-o", "/dev/null"}, args...), want}
}

func clientCases() []clientCase {
	resolve := func(port int) string { return fmt.Sprintf("a.example:%d:%s", port, podIP) }
	secure := []string{"--resolve", resolve(tlsPort), fmt.Sprintf("https://a.example:%d/download", tlsPort)}
	plain := fmt.Sprintf("http://%s:%d/", podIP, httpPort)
	// From a port of its own: the header has it, and REDIRECT must not change it.
	proxied := []string{"--haproxy-protocol", "--local-port", strconv.Itoa(firstPort), "--resolve", resolve(proxiedPort), fmt.Sprintf("https://a.example:%d/download", proxiedPort)}
	return []clientCase{
		openssl("name and ALPN", tlsPort, chosen{"named-h2", "a.example", "tls", "h2"}, "-servername", "a.example", "-alpn", "h2"),
		openssl("an ALPN that no chain names comes first", tlsPort, chosen{"named-h2", "a.example", "tls", "spdy/3"}, "-servername", "a.example", "-alpn", "spdy/3,h2"),
		openssl("name", tlsPort, chosen{"named", "a.example", "tls", ""}, "-servername", "a.example"),
		openssl("TLS 1.2", tlsPort, chosen{"named", "a.example", "tls", ""}, "-servername", "a.example", "-tls1_2"),
		openssl("hello in records of 512 bytes", tlsPort, chosen{"named", "a.example", "tls", ""}, "-servername", "a.example", "-max_send_frag", "512"),
		openssl("name in capitals", tlsPort, chosen{"wildcard", "B.A.EXAMPLE", "tls", ""}, "-servername", "B.A.EXAMPLE"),
		openssl("another name", tlsPort, chosen{"tls", "a.test", "tls", "h2"}, "-servername", "a.test", "-alpn", "h2"),
		openssl("no name", tlsPort, chosen{"tls", "", "tls", ""}, "-noservername"),
		curl("https", tlsPort, chosen{"named-h2", "a.example", "tls", "h2"}, secure...),
		curl("https by HTTP/1.1", tlsPort, chosen{"named", "a.example", "tls", "http/1.1"}, append([]string{"--http1.1"}, secure...)...),
		curl("http", httpPort, chosen{"http", "", "raw_buffer", "http/1.1"}, plain),
		curl("http/1.0", httpPort, chosen{"fallback", "", "raw_buffer", "http/1.0"}, "-0", plain),
		curl("http/2", httpPort, chosen{"h2c", "", "raw_buffer", "h2c"}, "--http2-prior-knowledge", plain),
		curl("PROXY, then https", proxiedPort, chosen{"named-h2", "a.example", "tls", "h2"}, proxied...),
	}
}

// TestRealClients has openssl and curl choose chains through REDIRECT by what
// they say first.
func TestRealClients(t *testing.T) {
	t.Parallel()
	testnet.Need(t, "curl", "openssl")
	w := newWorld(t)
	w.applyRules(redirect)
	never := "listener_filters_timeout: 0s" // who had to wait for it would hang
	s := startSidecar(w, inspectingText("",
		part{"tls", tlsPort, "http_inspector, tls_inspector", never, askingChains(), "fallback"},
		part{"http", httpPort, "tls_inspector, http_inspector", never, askingChains(), "fallback"},
		part{"proxied", proxiedPort, "proxy_protocol, tls_inspector", never, askingChains()[:4], "fallback"},
	), asSidecar(redirect))
	for _, port := range []int{tlsPort, proxiedPort} {
		startProgram(w, w.pod, program{name: fmt.Sprintf("tls-%d", port), port: port, server: serveTLS})
	}
	serveAnyHTTP(w, httpPort)
	for _, c := range clientCases() {
		t.Run(c.name, func(t *testing.T) {
			s := s.in(t)
			before, counted := len(s.records()), s.inspections()
			s.w.client.Run("sh", append([]string{"-c", `exec "$@" </dev/null 2>&1`, "sh"}, c.args...)...)
			r := s.nextRecord(before)
			if r.chosen() != c.want || r.Listener == "" || host(r.Remote) != clientIP || r.Remote != r.DirectRemote || r.Flags != "-" {
				t.Errorf("record %+v,\nwant %+v", r, c.want)
			}
			if want := fmt.Sprintf("%s:%d", podIP, c.port); r.Local != want || r.UpstreamHost != want || host(r.UpstreamLocal) != "127.0.0.6" {
				t.Errorf("%s goes to %s from %s", r.Local, r.UpstreamHost, r.UpstreamLocal)
			}
			if moved := s.inspections().minus(counted); moved.needed != 1 || moved.failed+moved.timedOut+moved.skipped != 0 {
				t.Errorf("counted %s", moved)
			}
		})
	}
}

// nextRecord waits for the line about the one connection that has ended since
// there were so many.
func (s *sidecar) nextRecord(before int) record {
	s.w.Helper()
	var now []record
	s.w.eventually(func() error {
		if now = s.records(); len(now) <= before {
			return fmt.Errorf("no access log line")
		}
		return nil
	})
	if len(now) > before+1 {
		s.w.Errorf("%d access log lines more, want one", len(now)-before)
	}
	return now[before]
}

// serveAnyHTTP answers HTTP/1 and, without TLS, HTTP/2.
func serveAnyHTTP(w *world, port int) {
	w.Helper()
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Protocols: protocols, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, r.Proto) })}
	l := w.pod.Listen("tcp", fmt.Sprintf("0.0.0.0:%d", port))
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l)
	}()
	w.Cleanup(func() {
		server.Close()
		<-done
	})
}

const haproxyText = `global
  maxconn 100
defaults
  mode tcp
  timeout connect 10s
  timeout client 60s
  timeout server 60s
listen v1
  bind :8441,:::8441 v6only
  server pod 10.4.0.5:4434 send-proxy
listen v2
  bind :8442,:::8442 v6only
  unique-id-format connection-7
  server pod 10.4.0.5:4434 send-proxy-v2 proxy-v2-options crc32c,unique-id
`

// TestHAProxy has HAProxy stand before the pod and tell by PROXY protocol who
// its clients are. The chain is chosen by that, and not by HAProxy's address.
func TestHAProxy(t *testing.T) {
	t.Parallel()
	testnet.Need(t, "haproxy", "openssl")
	w := newWorld(t)
	w.applyRules(redirect)
	chains := []string{
		"v1-from-2: {destination_port: 8441, direct_source_prefix_ranges: [10.4.0.9/32], source_prefix_ranges: [127.0.0.2/32]}",
		"v1-from-any: {destination_port: 8441, server_names: [a.example]}",
		"v2-from-2: {destination_port: 8442, source_prefix_ranges: [127.0.0.2/32, \"::1/128\"]}",
		"v2-tls: {destination_port: 8442, server_names: [a.example]}",
	}
	text := inspectingText("", part{"proxied", proxiedPort, "proxy_protocol, tls_inspector",
		"listener_filters_timeout: 0s, proxy_protocol: {trusted_prefix_ranges: [10.4.0.9/32]}", chains, ""})
	// Where HAProxy's clients wanted to go is HAProxy; the pod has its own idea.
	text = strings.Replace(text, "type: original_dst,", fmt.Sprintf("endpoints: [{address: \"%s:%d\"}],", podIP, tlsPort), 1)
	s := startSidecar(w, text, asSidecar(redirect))
	server := newWay(w, "", w.client, w.pod, fmt.Sprintf("%s:%d", podIP, tlsPort))
	config := w.file("haproxy.cfg", haproxyText)
	proxy := w.client.As(userID, userID).Start("haproxy", "-db", "-f", config)
	proxy.WaitListen(8442)
	for _, c := range []struct {
		name, source, to string
		send             []byte
		want             chosen
	}{
		{"v1 by client", "127.0.0.2:0", "127.0.0.1:8441", []byte("hello"), chosen{"v1-from-2", "", "raw_buffer", ""}},
		{"v1 by name", "127.0.0.3:0", "127.0.0.1:8441", hello("a.example", "h2"), chosen{"v1-from-any", "a.example", "tls", "h2"}},
		{"v2 by client", "127.0.0.2:0", "127.0.0.1:8442", []byte("hello"), chosen{"v2-from-2", "", "raw_buffer", ""}},
		{"v2 by client, IPv6", "[::1]:0", "[::1]:8442", []byte("hello"), chosen{"v2-from-2", "", "raw_buffer", ""}},
		{"v2 by name", "127.0.0.3:0", "127.0.0.1:8442", hello("a.example", "h2"), chosen{"v2-tls", "a.example", "tls", "h2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := s.in(t)
			conn := dialFrom(s.w, w.client, c.source, c.to)
			write(t, conn, c.send)
			echo := server.arrives(s.w, c.send)
			write(t, echo, []byte("!"))
			readFull(t, conn, 1)
			conn.Close()
			wantEnd(t, echo)
			echo.Close()
			r := s.ended(conn) // the client's own address, though HAProxy is the peer
			if r.chosen() != c.want || host(r.DirectRemote) != clientIP || r.Local != c.to || r.BytesReceived != int64(len(c.send)) {
				t.Errorf("record %+v,\nwant %+v", r, c.want)
			}
		})
	}
	t.Run("a name that no chain has", func(t *testing.T) {
		s := s.in(t)
		conn := dialFrom(s.w, w.client, "127.0.0.3:0", "127.0.0.1:8442")
		write(t, conn, hello("b.example"))
		if r := s.ended(conn); r.ending() != (ending{"proxy", "no_filter_chain", "NR"}) || r.ServerName != "b.example" {
			t.Errorf("record %+v", r)
		}
	})
	if code := proxy.Stop(); code != 0 && code != 128+15 {
		t.Errorf("haproxy ended with status %d:\n%s", code, proxy.Log())
	}
}
