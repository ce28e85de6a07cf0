package test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/internal/testnet"
)

// receiver is a server nobody here wrote that takes PROXY headers. It answers
// every request with what the header said: source, port, destination, port.
type receiver struct {
	name   string
	v1, v2 int // its ports: sluice sends v1 to the one and v2 to the other
	start  func(p *place, ports ...int)
}

func receivers() []receiver {
	return []receiver{{"nginx", 9001, 9002, startNginx}, {"haproxy", 9003, 9004, startHAProxy}}
}

// newPlace is a directory for a program that runs as userID.
func newPlace(w *world, h *testnet.Host, name string) *place {
	w.Helper()
	p := &place{world: w, host: h.As(userID, userID), dir: filepath.Join(w.net.Dir(), h.String()+"-"+name)}
	p.host.Run("mkdir", "-m", "700", p.dir)
	return p
}

func startNginx(p *place, ports ...int) {
	var server strings.Builder
	for _, port := range ports {
		fmt.Fprintf(&server, "listen %d proxy_protocol; listen [::]:%[1]d proxy_protocol;\n", port)
	}
	server.WriteString(`return 200 "$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_addr $proxy_protocol_server_port";`)
	process := runNginx(p, server.String())
	for _, port := range ports {
		process.WaitListen(uint16(port))
	}
}

// runNginx starts an nginx of one process with a server block.
func runNginx(p *place, server string) *testnet.Process {
	p.Helper()
	var temp strings.Builder
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&temp, "%s_temp_path %s;\n", kind, p.path(kind))
	}
	config := p.write("nginx.conf", fmt.Sprintf(`daemon off;
master_process off;
pid %s;
events {}
http {
  access_log off;
  %s
  server {
    %s
  }
}
`, p.path("pid"), temp.String(), server))
	return p.host.Start("nginx", "-e", "stderr", "-c", config)
}

// haproxyHead is what every configuration of HAProxy here begins with.
const haproxyHead = `defaults
  timeout connect 20s
  timeout client 20s
  timeout server 20s
`

func startHAProxy(p *place, ports ...int) {
	var bind strings.Builder
	for _, port := range ports {
		fmt.Fprintf(&bind, "  bind :::%d v4v6 accept-proxy\n", port)
	}
	config := p.write("receiver.cfg", haproxyHead+`frontend receiver
  mode http
`+bind.String()+`  http-request return status 200 content-type text/plain lf-string "%[src] %[src_port] %[dst] %[dst_port]"
`)
	server := p.host.Start("haproxy", "-db", "-f", config)
	for _, port := range ports {
		server.WaitListen(uint16(port))
	}
}

// ask sends a request and returns the answer without its headers.
func ask(w *world, conn net.Conn) string {
	w.Helper()
	if _, err := io.WriteString(conn, request); err != nil {
		w.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		w.Fatalf("after %q: %v", answer, err)
	}
	_, body, found := strings.Cut(string(answer), "\r\n\r\n")
	if !found || !strings.Contains(string(answer[:min(len(answer), 13)]), " 200 ") {
		w.Fatalf("answer %q", answer)
	}
	return body
}

const request = "GET / HTTP/1.0\r\nHost: reviews\r\n\r\n"

// introduction is what a header says of a connection.
func introduction(w *world, source, destination string) string {
	w.Helper()
	from, err := netip.ParseAddrPort(source)
	if err != nil {
		w.Fatal(err)
	}
	to, err := netip.ParseAddrPort(destination)
	if err != nil {
		w.Fatal(err)
	}
	return fmt.Sprintf("%s %d %s %d", from.Addr(), from.Port(), to.Addr(), to.Port())
}

// introducing is a sidecar whose inbound clusters send PROXY headers, by port.
func introducing(v1, v2 []int) string {
	var b strings.Builder
	b.WriteString(head + quickDrain + "listeners:\n")
	for _, family := range []struct{ name, wildcard string }{{"ipv4", "0.0.0.0"}, {"ipv6", "[::]"}} {
		fmt.Fprintf(&b, "- name: %s\n  address: \"%s:15006\"\n  direction: inbound\n  interception_mode: redirect\n  filter_chains:\n", family.name, family.wildcard)
		for version, ports := range map[string][]int{"v1": v1, "v2": v2} {
			for _, port := range ports {
				fmt.Fprintf(&b, "  - match: {destination_port: %d}\n    tcp_proxy: {cluster: %s-%s}\n", port, version, family.name)
			}
		}
	}
	b.WriteString("clusters:\n")
	for _, version := range []string{"v1", "v2"} {
		fmt.Fprintf(&b, "- {name: %s-ipv4, type: original_dst, upstream_bind_address: 127.0.0.6, proxy_protocol: %[1]s}\n", version)
		fmt.Fprintf(&b, "- {name: %s-ipv6, type: original_dst, upstream_bind_address: \"::6\", proxy_protocol: %[1]s}\n", version)
	}
	return b.String()
}

// TestProxyHeader has servers of others learn from sluice who their client is,
// though they see a connection from 127.0.0.6.
func TestProxyHeader(t *testing.T) {
	t.Parallel()
	testnet.Need(t, "nginx", "haproxy")
	const serverFirst = 9005
	w := newWorld(t)
	w.applyRules(redirect)
	v1, v2 := []int{serverFirst}, []int(nil)
	for _, r := range receivers() {
		r.start(newPlace(w, w.pod, r.name), r.v1, r.v2)
		v1, v2 = append(v1, r.v1), append(v2, r.v2)
	}
	s := startSidecar(w, introducing(v1, v2), asSidecar(redirect))
	for _, r := range receivers() {
		for version, port := range map[string]int{"v1": r.v1, "v2": r.v2} {
			for family, ip := range map[string]string{"IPv4": podIP, "IPv6": "[" + podIP6 + "]"} {
				t.Run(r.name+" "+version+" "+family, func(t *testing.T) {
					askThrough(s.in(t), fmt.Sprintf("%s:%d", ip, port))
				})
			}
		}
	}
	t.Run("server first", func(t *testing.T) { introduceSilently(s.in(t), serverFirst) })
}

// askThrough has a server tell whom it sees, and looks at what is counted.
func askThrough(s *sidecar, address string) {
	conn := dial(s.w, s.w.client, address)
	got, want := ask(s.w, conn), introduction(s.w, conn.LocalAddr().String(), address)
	if got != want {
		s.w.Errorf("the server says %q, want %q", got, want)
	}
	conn.Close()
	if r := s.ended(conn); r.BytesReceived != int64(len(request)) {
		s.w.Errorf("%d bytes received for %s, want %d", r.BytesReceived, address, len(request))
	}
}

// introduceSilently expects the header at a server whose client waits to be
// spoken to.
func introduceSilently(s *sidecar, port int) {
	serve(s.w, s.w.pod.Listen("tcp", fmt.Sprintf("0.0.0.0:%d", port)), func(conn *net.TCPConn) {
		header, err := bufio.NewReader(conn).ReadString('\n')
		if err == nil {
			_, _ = io.WriteString(conn, header)
		}
	})
	conn := dial(s.w, s.w.client, fmt.Sprintf("%s:%d", podIP, port))
	source := conn.LocalAddr().(*net.TCPAddr).Port
	want := fmt.Sprintf("PROXY TCP4 %s %s %d %d\r\n", clientIP, podIP, source, port)
	if got := wantEnd(s.w, conn); string(got) != want {
		s.w.Errorf("the server got %q, want %q", got, want)
	}
	conn.Close()
	if r := s.ended(conn); r.BytesReceived != 0 || r.BytesSent != int64(len(want)) {
		s.w.Errorf("%d bytes received and %d sent, want 0 and %d", r.BytesReceived, r.BytesSent, len(want))
	}
}

// chained is a sidecar that takes PROXY headers, and passes the client they name
// on to a server by a header of its own.
const chained = head + quickDrain + `listeners:
- name: inbound
  address: 0.0.0.0:15006
  direction: inbound
  interception_mode: redirect
  listener_filters: [proxy_protocol]
  default_filter_chain: {name: chained, tcp_proxy: {cluster: app}}
clusters:
- {name: app, endpoints: [{address: "127.0.0.1:9001"}], proxy_protocol: v2}
`

// TestProxyHeaderChain has HAProxy end TLS, name client, server name and a unique
// id to sluice, and nginx behind sluice see the client.
func TestProxyHeaderChain(t *testing.T) {
	t.Parallel()
	testnet.Need(t, "nginx", "haproxy", "openssl")
	w := newWorld(t)
	startNginx(newPlace(w, w.pod, "nginx"), 9001)
	front := newPlace(w, w.client, "haproxy")
	_, _, both := makeCertificate(front)
	config := front.write("front.cfg", haproxyHead+`frontend front
  mode tcp
  bind `+clientIP+`:8443 ssl crt `+both+`
  unique-id-format "id-%ci-%cp"
  default_backend sluice
backend sluice
  mode tcp
  server pod `+podIP+`:9080 send-proxy-v2 proxy-v2-options authority,unique-id,crc32c
`)
	w.applyRules(redirect)
	s := startSidecar(w, chained, asSidecar(redirect))
	front.host.Start("haproxy", "-db", "-f", config).WaitListen(8443)

	const address = clientIP + ":8443"
	plain := dial(w, w.client, address)
	client := plain.LocalAddr().String()
	got := ask(w, tls.Client(plain, &tls.Config{ServerName: "reviews.example", InsecureSkipVerify: true}))
	if want := introduction(w, client, address); got != want {
		t.Errorf("nginx says %q, want %q", got, want)
	}
	plain.Close()
	r := s.endOf(client, address)
	_, port, _ := strings.Cut(client, ":")
	if r.ProxyAuthority != "reviews.example" || r.ProxyUniqueID != "id-"+clientIP+"-"+port {
		t.Errorf("authority %q, unique id %q", r.ProxyAuthority, r.ProxyUniqueID)
	}
	if host(r.DirectRemote) != clientIP || r.DirectRemote == client {
		t.Errorf("peer %s", r.DirectRemote)
	}
}

// makeCertificate makes a key and a certificate for reviews and reviews.example,
// apart and in one file.
func makeCertificate(p *place) (key, cert, both string) {
	p.Helper()
	key, cert = p.path("key.pem"), p.path("cert.pem")
	p.host.Run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
		"-subj", "/CN=reviews", "-addext", "subjectAltName=DNS:reviews,DNS:reviews.example", "-keyout", key, "-out", cert)
	var pem []byte
	for _, file := range []string{cert, key} {
		text, err := os.ReadFile(file)
		if err != nil {
			p.Fatal(err)
		}
		pem = append(pem, text...)
	}
	return key, cert, p.write("both.pem", string(pem))
}
