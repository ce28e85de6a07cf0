package admin

import (
	"bufio"
	"context"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
)

func TestHostMustBeLocal(t *testing.T) {
	type hostCase struct {
		address string // of the server
		host    string
		status  int
	}
	for _, c := range []hostCase{
		{"127.0.0.1:0", "localhost", 200},
		{"127.0.0.1:0", "LOCALHOST:15000", 200},
		{"127.0.0.1:0", "127.0.0.1:15000", 200},
		{"127.0.0.1:0", "127.8.8.8", 200},
		{"127.0.0.1:0", "[::1]:15000", 200},
		{"127.0.0.1:0", "[::1]", 200},
		{"127.0.0.1:0", "evil.example", 403},
		{"127.0.0.1:0", "evil.example:15000", 403},
		{"127.0.0.1:0", "localhost.evil.example", 403},
		{"127.0.0.1:0", "127.0.0.1.evil.example", 403},
		{"127.0.0.1:0", "10.4.0.5", 403},
		{"0.0.0.0:0", "127.0.0.1", 200},
		{"0.0.0.0:0", "0.0.0.0", 200},
		{"0.0.0.0:0", "evil.example", 403},
		{"0.0.0.0:0", "10.4.0.5", 403}, // connected to 127.0.0.1
	} {
		s := New(newDaemon(c.address).options)
		start(t, s)
		_, port, err := net.SplitHostPort(s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if got := ask(t, "GET", "http://127.0.0.1:"+port+"/ready", "Host", c.host); got.status != c.status {
			t.Errorf("Host %s on %s: status %d, want %d", c.host, c.address, got.status, c.status)
		}
	}
}

func TestHostOfConfiguredAddress(t *testing.T) {
	d := newDaemon("")
	handler := newGuard("10.4.0.5:15000", d.options.Log, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).(*guard)
	connected := context.WithValue(context.Background(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.ParseIP("10.4.0.5"), Port: 15000})
	for host, want := range map[string]bool{"10.4.0.5:15000": true, "10.4.0.5": true, "localhost": true, "10.4.0.6": false, "evil.example": false} {
		request := (&http.Request{Host: host}).WithContext(connected)
		if got := handler.local(request); got != want {
			t.Errorf("%s: %v, want %v", host, got, want)
		}
	}
	if d.logs.FilterMessageSnippet("not loopback").Len() != 1 {
		t.Error("no warning that anybody can reach the admin API")
	}
}

// A page of another site can send simple POSTs without asking first.
func TestWebPagesCannotPost(t *testing.T) {
	d := newDaemon("127.0.0.1:0")
	base := start(t, New(d.options))
	for _, header := range [][]string{{"Origin", "http://evil.example"}, {"Sec-Fetch-Site", "cross-site"}} {
		if got := ask(t, "POST", base+"/quitquitquit", header...); got.status != http.StatusForbidden {
			t.Errorf("%v: status %d, want 403", header, got.status)
		}
	}
	if d.quits != 0 {
		t.Error("a web page stopped the daemon")
	}
}

func TestHTTP10WithoutHost(t *testing.T) {
	s := New(newDaemon("127.0.0.1:0").options)
	start(t, s)
	conn, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("GET /ready HTTP/1.0\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(line, "200") {
		t.Errorf("%q, error %v", line, err)
	}
}

func TestAddressTaken(t *testing.T) {
	held, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	address := held.Addr().String()
	_, port, _ := net.SplitHostPort(address)
	err = New(newDaemon(address).options).Start()
	if err == nil {
		t.Fatal("two servers on one address")
	}
	for _, want := range []string{address, "admin.address", "address already in use", "ss -ltnp 'sport = :" + port + "'"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q lacks %q", err, want)
		}
	}
}

func TestAddressNotOfThisHost(t *testing.T) {
	err := NewMetricsServer(MetricsOptions{Address: "192.0.2.1:0", Prometheus: http.NotFoundHandler(), Log: zap.NewNop()}).Start()
	if err == nil || !strings.Contains(err.Error(), "metrics.address") || !strings.Contains(err.Error(), "no such address") {
		t.Errorf("error %v", err)
	}
}

func unixClient(path string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		},
	}}
}

func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "admin.sock")
	s := New(newDaemon("unix://" + path).options)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, error %v, want 0600", info.Mode(), err)
	}
	response, err := unixClient(path).Get("http://anything/ready")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("status %d", response.StatusCode)
	}
	if err := New(newDaemon("unix://" + path).options).Start(); !errors.Is(err, ErrSocketInUse) {
		t.Errorf("a second server: %v, want ErrSocketInUse", err)
	}
	if err := s.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, error %v", left, err)
	}
}

// What a killed process left behind is in nobody's way.
func TestStaleUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "admin.sock")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	stale.Close()
	s := New(newDaemon("unix://" + path).options)
	start(t, s)
	response, err := unixClient(path).Get("http://localhost/ready")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
}

func TestUnixSocketOverAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "precious")
	if err := os.WriteFile(path, []byte("data"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := New(newDaemon("unix://" + path).options).Start(); !errors.Is(err, ErrNotSocket) {
		t.Errorf("%v, want ErrNotSocket", err)
	}
	if data, err := os.ReadFile(path); err != nil || string(data) != "data" {
		t.Errorf("the file was harmed: %q, %v", data, err)
	}
	err := New(newDaemon("unix://" + filepath.Join(path+"-missing", "admin.sock")).options).Start()
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing directory: %v", err)
	}
}

// Idle connections above the bound are closed; below it, requests work.
func TestConnectionsAreBounded(t *testing.T) {
	s := New(newDaemon("127.0.0.1:0").options)
	base := start(t, s)
	var held []net.Conn
	for range maxConnections {
		conn, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		held = append(held, conn)
	}
	extra, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer extra.Close()
	if err := extra.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := extra.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("connection %d is served: %v", maxConnections+1, err)
	}
	held[0].Close()
	for deadline := time.Now().Add(time.Minute); ; {
		response, err := http.Get(base + "/ready")
		if err == nil {
			response.Body.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("no place although one was given back: %v", err)
		}
	}
}

func TestServersHaveTimeouts(t *testing.T) {
	s := New(newDaemon("127.0.0.1:0").options).http
	if s.ReadHeaderTimeout == 0 || s.ReadTimeout == 0 || s.WriteTimeout == 0 || s.IdleTimeout == 0 {
		t.Error("a client that does nothing holds its connection for ever")
	}
}

// A request that hangs does not keep the daemon from ending.
func TestShutdownDeadline(t *testing.T) {
	d := newDaemon("127.0.0.1:0")
	entered, release := make(chan struct{}), make(chan struct{})
	d.options.Listeners = func() []ListenerInfo { close(entered); <-release; return nil }
	s := New(d.options)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	failed := make(chan error)
	go func() {
		response, err := http.Get("http://" + s.Addr().String() + "/listeners")
		if err == nil {
			response.Body.Close()
		}
		failed <- err
	}()
	<-entered
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("shutdown: %v, want its deadline", err)
	}
	if err := <-failed; err == nil {
		t.Error("the hanging request was answered")
	}
	close(release)
}

func TestShutdownOfAServerThatNeverStarted(t *testing.T) {
	if err := New(newDaemon("unix:///nowhere/admin.sock").options).Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestMetricsServer(t *testing.T) {
	d := newDaemon("")
	base := start(t, NewMetricsServer(MetricsOptions{Address: "127.0.0.1:0", Prometheus: d.options.Prometheus, Log: d.options.Log}))
	type metricsCase struct {
		method, path string
		status       int
	}
	for _, c := range []metricsCase{
		{"GET", "/stats/prometheus", 200}, {"HEAD", "/stats/prometheus", 200}, {"POST", "/stats/prometheus", 405},
		{"GET", "/", 404}, {"GET", "/stats", 404}, {"POST", "/quitquitquit", 404}, {"GET", "/config_dump", 404},
	} {
		if got := ask(t, c.method, base+c.path, "Host", "prometheus.example"); got.status != c.status {
			t.Errorf("%s %s: %d, want %d", c.method, c.path, got.status, c.status)
		}
	}
}

func TestReadinessServer(t *testing.T) {
	reason, ready := "warming clusters", false
	base := start(t, NewReadinessServer(ReadinessOptions{
		Address: "127.0.0.1:0", Log: zap.NewNop(), Ready: func() (string, bool) { return reason, ready },
	}))
	if got := ask(t, "GET", base+"/healthz/ready"); got.status != 503 || !strings.Contains(got.body, reason) {
		t.Errorf("not ready: %+v", got)
	}
	reason, ready = "", true
	if got := ask(t, "GET", base+"/healthz/ready", "Host", "kubelet.example"); got.status != 200 {
		t.Errorf("ready: %+v", got)
	}
	if got := ask(t, "GET", base+"/quitquitquit"); got.status != 404 {
		t.Errorf("another path: %+v", got)
	}
}
