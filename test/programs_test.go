package test

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sluiceproxy/sluice/internal/testnet"
)

// userID is whom real programs run as. It is "daemon", on every Debian: sshd,
// initdb and ssh want a user that has a name.
const (
	userID   = 1
	userName = "daemon"
)

// downloadSize is what programs transfer where they can: enough for sluice to
// change from copying to splicing.
const downloadSize = 8 << 20

// program is a server that nobody here wrote, and what its own client asks.
type program struct {
	name   string
	port   int
	needs  []string
	server func(p *place)
	call   func(c *call)
}

// place is where a server is to run; every program has a directory there.
type place struct {
	*world
	host *testnet.Host // as userID
	dir  string
	port int
}

// call is a client about to call a server.
type call struct {
	*place
	client *testnet.Host // as userID
	ip     string        // of the server
}

func programs() []program {
	return []program{
		{"curl", 8080, []string{"curl"}, serveHTTP, callHTTP},
		{"redis", 6379, []string{"redis-server", "redis-cli"}, serveRedis, callRedis},
		{"postgres", 5432, []string{"postgres", "initdb", "psql"}, servePostgres, callPostgres},
		{"ssh", 2222, []string{"sshd", "ssh-keygen", "sftp"}, serveSSH, callSSH}, // server first
		{"openssl", 4433, []string{"openssl", "curl"}, serveTLS, callTLS},
	}
}

// TestPrograms has real programs talk through sluice: into the pod by REDIRECT
// and by TPROXY, and out of it.
func TestPrograms(t *testing.T) {
	t.Parallel()
	for _, p := range programs() {
		needPrograms(t, p.needs)
	}
	for _, mode := range []capture{redirect, tproxy} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.applyRules(mode)
			s := startSidecar(w, sidecarText(settings{mode: mode}), asSidecar(mode))
			inPod, inRemote := map[string]*place{}, map[string]*place{}
			for _, p := range programs() {
				inPod[p.name], inRemote[p.name] = startProgram(w, w.pod, p), startProgram(w, w.remote, p)
			}
			for _, p := range programs() {
				t.Run(p.name+" inbound", func(t *testing.T) {
					source := "127.0.0.6"
					if mode == tproxy {
						source = clientIP
					}
					callProgram(s.in(t), &call{inPod[p.name], w.client.As(userID, userID), podIP}, p, source)
				})
				t.Run(p.name+" outbound", func(t *testing.T) {
					callProgram(s.in(t), &call{inRemote[p.name], w.pod.As(userID, userID), remoteIP}, p, podFarIP)
				})
			}
		})
	}
}

// needPrograms fails with what to install: postgres and its tools come from
// a package with another name.
func needPrograms(t *testing.T, names []string) {
	t.Helper()
	for _, name := range names {
		if name != "postgres" && name != "initdb" {
			testnet.Need(t, name)
		} else if postgresTool(name) == "" {
			t.Fatalf("%s is missing; install it with: apt-get install -y postgresql", name)
		}
	}
}

// postgresTool finds a program that Debian keeps out of PATH.
func postgresTool(name string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if err != nil || len(found) == 0 {
		return ""
	}
	return found[len(found)-1]
}

func startProgram(w *world, h *testnet.Host, p program) *place {
	w.Helper()
	pl := &place{world: w, host: h.As(userID, userID), port: p.port, dir: filepath.Join(w.net.Dir(), h.String()+"-"+p.name)}
	pl.host.Run("mkdir", "-m", "700", pl.dir)
	p.server(pl)
	return pl
}

// callProgram has a client do its work, and looks at what sluice says of it.
func callProgram(s *sidecar, c *call, p program, source string) {
	c.world = s.w
	before := len(s.records())
	p.call(c)
	s.w.eventually(func() error {
		if len(s.records()) == before {
			return fmt.Errorf("no access log line")
		}
		return nil
	})
	s.waitMetric(0, "envoy_server_total_connections")
	s.w.eventually(func() error { // a program may make several
		ended := int(s.metrics().sum("envoy_listener_downstream_cx_destroy"))
		if lines := len(s.records()); lines != ended {
			return fmt.Errorf("%d access log lines about %d connections", lines, ended)
		}
		return nil
	})
	for _, r := range s.records()[before:] {
		if r.Local != c.address() || r.UpstreamHost != c.address() || host(r.UpstreamLocal) != source {
			s.w.Errorf("%s goes to %s, at %s, from %s", r.Local, r.UpstreamHost, c.address(), r.UpstreamLocal)
		}
		if r.BytesReceived == 0 || r.BytesSent == 0 || r.Flags != "-" {
			s.w.Errorf("record %+v", r)
		}
	}
}

func (c *call) address() string { return fmt.Sprintf("%s:%d", c.ip, c.port) }

// file is a path in the program's directory.
func (p *place) path(name string) string { return filepath.Join(p.dir, name) }

func (p *place) write(name, text string) string {
	p.Helper()
	path := p.path(name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		p.Fatal(err)
	}
	if err := os.Chown(path, userID, userID); err != nil {
		p.Fatal(err)
	}
	return path
}

// download is what servers have to offer, and its checksum as sha256sum shows
// it.
func download() (data []byte, sum string) {
	data = patternBytes(11, downloadSize)
	return data, fmt.Sprintf("%x", sha256.Sum256(data))
}

// sumOf runs a client whose output is the download.
func (c *call) sumOf(name string, args ...string) string {
	c.Helper()
	return strings.Fields(c.client.Run("sh", append([]string{"-c", `"$@" | sha256sum`, "sh", name}, args...)...))[0]
}

func serveHTTP(p *place) {
	data, _ := download()
	l := p.host.Listen("tcp", fmt.Sprintf("0.0.0.0:%d", p.port))
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			hash := sha256.New()
			if _, err := io.Copy(hash, r.Body); err == nil {
				fmt.Fprintf(w, "%x", hash.Sum(nil))
			}
			return
		}
		if r.URL.Path == "/whoami" {
			client, _, _ := net.SplitHostPort(r.RemoteAddr)
			fmt.Fprint(w, client)
			return
		}
		_, _ = w.Write(data)
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l)
	}()
	p.Cleanup(func() {
		server.Close()
		<-done
	})
}

func callHTTP(c *call) {
	data, want := download()
	url := "http://" + c.address()
	if got := c.sumOf("curl", "-sSf", url+"/data"); got != want {
		c.Errorf("curl got other bytes than the server sent")
	}
	upload := c.write("upload-"+c.ip, string(data))
	// Two requests on one connection, the first an upload.
	out := c.client.Run("curl", "-sSf", "--data-binary", "@"+upload, url+"/", "--next", "-sSf", url+"/whoami")
	if !strings.HasPrefix(out, want) {
		c.Errorf("the server got other bytes than curl sent: %s", out)
	}
}

func serveRedis(p *place) { startRedis(p, p.port) }

func callRedis(c *call) {
	redis := []string{"redis-cli", "-h", c.ip, "-p", fmt.Sprint(c.port)}
	if got := c.client.Run(redis[0], append(redis[1:], "ping")...); got != "PONG\n" {
		c.Errorf("redis-cli ping says %q", got)
	}
	value := c.write("value", strings.Repeat("sluice", 200_000))
	c.client.Run("sh", append([]string{"-c", `f=$1; shift; "$@" -x set key < "$f"`, "sh", value}, redis...)...)
	if got := c.client.Run(redis[0], append(redis[1:], "get", "key")...); strings.TrimSpace(got) != strings.Repeat("sluice", 200_000) {
		c.Errorf("redis has another value of %d bytes", len(got))
	}
	if got := c.client.Run(redis[0], append(redis[1:], "-r", "1000", "incr", "counter")...); !strings.HasSuffix(got, "\n1000\n") {
		c.Errorf("the thousandth incr says %q", tail(got))
	}
}

func servePostgres(p *place) {
	data := p.path("data")
	p.host.Run(postgresTool("initdb"), "-D", data, "-U", "sluice", "-A", "trust", "--locale=C", "-E", "UTF8", "--no-sync", "-N")
	hba := p.write("hba.conf", "host all all 0.0.0.0/0 trust\n")
	server := p.host.Start(postgresTool("postgres"), "-D", data, "-p", fmt.Sprint(p.port), "-k", p.dir,
		"-c", "listen_addresses=0.0.0.0", "-c", "hba_file="+hba, "-c", "fsync=off", "-c", "max_connections=10")
	server.WaitLog("ready to accept connections")
	// Killed, it would leave its processes to notice that, each in its time.
	p.world.Cleanup(func() {
		server.Signal(syscall.SIGINT)
		server.Wait(patience)
	})
}

func callPostgres(c *call) {
	const rows = 20_000
	psql := func(sql string) string {
		return strings.TrimSpace(c.client.Run("psql", "-X", "-A", "-t", "-q", "-h", c.ip, "-p", fmt.Sprint(c.port), "-U", "sluice", "-d", "postgres",
			"-v", "ON_ERROR_STOP=1", "-c", sql))
	}
	if got := psql("select inet_server_port() || ' ' || sum(n) from generate_series(1, 1000) n"); got != fmt.Sprintf("%d 500500", c.port) {
		c.Errorf("psql says %q", got)
	}
	out := psql(fmt.Sprintf("copy (select n, md5(n::text) from generate_series(1, %d) n) to stdout", rows))
	if lines := strings.Split(out, "\n"); len(lines) != rows || !strings.HasPrefix(lines[rows-1], "20000\t") {
		c.Errorf("copy gave %d rows", len(lines))
	}
}

func serveSSH(p *place) {
	data, _ := download()
	p.write("download", string(data))
	for _, key := range []string{"host", "user"} {
		p.host.Run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", key, "-f", p.path(key))
	}
	// A server that is not root lets only its own user in; that one has no
	// shell, but sftp needs none.
	config := p.write("sshd_config", fmt.Sprintf(`Port %d
ListenAddress 0.0.0.0
HostKey %s
AuthorizedKeysFile %s
PidFile none
StrictModes no
UsePAM no
Subsystem sftp internal-sftp
ForceCommand internal-sftp
`, p.port, p.path("host"), p.path("user.pub")))
	sshd, err := exec.LookPath("sshd") // it wants to be called by its whole path
	if err != nil {
		p.Fatal(err)
	}
	p.host.Start(sshd, "-D", "-e", "-f", config).WaitLog("Server listening")
}

func callSSH(c *call) {
	_, want := download()
	got := c.path("got-by-" + c.client.String())
	batch := c.write("batch", fmt.Sprintf("get %s %s\nput %[2]s %[2]s.back\n", c.path("download"), got))
	c.client.Run("sftp", "-q", "-b", batch, "-P", fmt.Sprint(c.port), "-i", c.path("user"), "-o", "StrictHostKeyChecking=no",
		"-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "IdentitiesOnly=yes", userName+"@"+c.ip)
	for _, file := range []string{got, got + ".back"} {
		text, err := os.ReadFile(file)
		if err != nil || fmt.Sprintf("%x", sha256.Sum256(text)) != want {
			c.Errorf("%s: %d bytes, %v", file, len(text), err)
		}
	}
}

func serveTLS(p *place) {
	data, _ := download()
	p.write("download", string(data))
	p.host.Run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
		"-subj", "/CN=reviews", "-addext", "subjectAltName=DNS:reviews", "-keyout", p.path("key.pem"), "-out", p.path("cert.pem"))
	cmd := p.host.Command("openssl", "s_server", "-quiet", "-WWW", "-accept", fmt.Sprint(p.port), "-key", p.path("key.pem"), "-cert", p.path("cert.pem"))
	cmd.Dir = p.dir
	p.host.StartCommand(cmd).WaitListen(uint16(p.port))
}

func callTLS(c *call) {
	out := c.client.Run("sh", "-c", `exec openssl s_client -brief -servername reviews -CAfile "$1" -verify_return_error -connect "$2" </dev/null 2>&1`,
		"sh", c.path("cert.pem"), c.address())
	if !strings.Contains(out, "Verification: OK") {
		c.Errorf("openssl s_client says %s", out)
	}
	_, want := download()
	if got := c.sumOf("curl", "-sSf", "--cacert", c.path("cert.pem"), "--resolve", fmt.Sprintf("reviews:%d:%s", c.port, c.ip),
		fmt.Sprintf("https://reviews:%d/download", c.port)); got != want {
		c.Error("curl got other bytes over TLS than openssl sent")
	}
}
