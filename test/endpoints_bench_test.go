package test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// BenchmarkFlapping is what live traffic feels while all 5,000 endpoints of its
// cluster are replaced ten times a second, by DNS, beside the same load on 5,000
// endpoints that stay. Both take turns; each time a sluice is started anew.
//
//	go test ./test -run '^$' -bench Flapping -benchtime 7x -timeout 30m
func BenchmarkFlapping(b *testing.B) {
	bench := buildBench(b)
	backend := start(b, exec.Command(bench, "backend", "--listen", "0.0.0.0:0"), nil)
	resolver := startRole(b, roleNames)
	still := clusterText("static", literals(backend.addr.Port()), "")
	flapping := clusterText("strict_dns", namesAt(backend.addr.Port()),
		fmt.Sprintf("  dns: {refresh_rate: 100ms, respect_ttl: false, lookup_family: v4_only, resolvers: [%q]}\n", resolver.addr))
	for kind, rate := range map[string]string{"requests": "4000", "connections": "1000"} {
		b.Run(kind, func(b *testing.B) {
			var rounds [2][]felt
			for i := 0; b.Loop(); i++ {
				for k := range 2 {
					which := (i + k) % 2
					text := [...]string{still, flapping}[which]
					rounds[which] = append(rounds[which], feel(b, bench, text, "--kind", kind, "--rate", rate))
				}
			}
			b.ReportMetric(0, "ns/op")
			for which, name := range []string{"still", "flapping"} {
				list := rounds[which]
				b.ReportMetric(middle(list, func(f felt) float64 { return f.Latency.P50 / 1e3 }), name+"-µs-p50")
				b.ReportMetric(middle(list, func(f felt) float64 { return f.Latency.P99 / 1e3 }), name+"-µs-p99")
				b.ReportMetric(middle(list, func(f felt) float64 { return f.Latency.P999 / 1e3 }), name+"-µs-p99.9")
				b.ReportMetric(middle(list, func(f felt) float64 { return f.cpu * 100 }), name+"-%cpu")
			}
			b.ReportMetric(middle(rounds[1], func(f felt) float64 { return f.changes }), "changes/s")
			ratios := make([]felt, len(rounds[0]))
			for i := range ratios {
				ratios[i].cpu = rounds[1][i].Latency.P999 / rounds[0][i].Latency.P999
			}
			b.ReportMetric(middle(ratios, func(f felt) float64 { return f.cpu }), "p99.9-ratio")
		})
	}
}

// BenchmarkEndpoints is what 5,000 endpoints with http health checks and
// outlier detection cost the daemon: memory, and processor time for the checks.
//
//	go test ./test -run '^$' -bench Endpoints -benchtime 1x
func BenchmarkEndpoints(b *testing.B) {
	server := startRole(b, roleHealthy)
	const care = "  health_checks:\n  - {type: http, interval: 5s, no_traffic_interval: 5s, http: {path: /healthz}}\n  outlier_detection: {}\n"
	for b.Loop() {
		few, full := clusterText("static", "", care), clusterText("static", literals(server.addr.Port()), care)
		b.ReportMetric((held(b, full)-held(b, few))/manyEndpoints, "heap-B/endpoint")
		none := sluice(b, few)
		let(b, 12*time.Second)
		empty := none.resident(b)
		none.stop()
		many := sluice(b, full)
		let(b, 12*time.Second)
		cpu, began := many.cpu(b), time.Now()
		attempts := many.metric(b, "envoy_cluster_health_check_attempt")
		let(b, 20*time.Second)
		took := time.Since(began)
		b.ReportMetric((many.cpu(b)-cpu)/took.Seconds()*100, "%cpu")
		b.ReportMetric((many.metric(b, "envoy_cluster_health_check_attempt")-attempts)/took.Seconds(), "checks/s")
		b.ReportMetric(many.metric(b, "sluice_health_check_late_total"), "late")
		b.ReportMetric(many.metric(b, "envoy_cluster_health_check_healthy"), "healthy")
		b.ReportMetric((many.resident(b)-empty)/manyEndpoints, "rss-B/endpoint")
		many.stop()
	}
}

// held is the heap of a daemon that collects garbage before it comes to 5 % of
// what is in use.
func held(b *testing.B, text string) float64 {
	p := sluice(b, text, "GOGC=5")
	defer p.stop()
	let(b, 8*time.Second)
	return p.heap(b)
}

// felt is one measure of sluicebench load.
type felt struct {
	Elapsed float64        `json:"elapsed"`
	Latency quantiles      `json:"latency"`
	Proxy   proxyTime      `json:"proxy"`
	Errors  map[string]int `json:"errors"`

	cpu, changes float64 // share of a core; changes of the cluster a second
	reload       float64 // seconds
}

type quantiles struct{ P50, P99, P999 float64 }

type proxyTime struct{ User, System float64 }

func feel(b *testing.B, bench, text string, flags ...string) felt {
	p := sluice(b, text)
	defer p.stop()
	p.settle(b)
	return p.load(b, bench, "4s", flags...)
}

// load is what a load through the sluice feels for so long.
func (p *helper) load(b *testing.B, bench, duration string, flags ...string) felt {
	b.Helper()
	changes, began := p.metric(b, "envoy_cluster_membership_change"), time.Now()
	args := append([]string{"load", p.addr.String(), "-c", "64", "--duration", duration, "--json", "--watch", strconv.Itoa(p.cmd.Process.Pid)}, flags...)
	out, err := exec.Command(bench, args...).Output()
	var f felt
	if err == nil {
		err = json.Unmarshal(out, &f)
	}
	if err != nil || len(f.Errors) > 0 {
		b.Fatalf("%v: %v: %s", args, err, out)
	}
	f.cpu = (f.Proxy.User + f.Proxy.System) / f.Elapsed
	f.changes = (p.metric(b, "envoy_cluster_membership_change") - changes) / time.Since(began).Seconds()
	return f
}

func middle(list []felt, of func(felt) float64) float64 {
	values := make([]float64, len(list))
	for i := range list {
		values[i] = of(list[i])
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// literals are endpoints at the addresses that namesAt stands for at first.
func literals(port uint16) string {
	var text strings.Builder
	for i := range manyEndpoints {
		fmt.Fprintf(&text, "  - address: %v\n", netip.AddrPortFrom(endpointAt(i), port))
	}
	return text.String()
}

func namesAt(port uint16) string {
	var text strings.Builder
	for _, name := range halves() {
		fmt.Fprintf(&text, "  - address: %s:%d\n", name, port)
	}
	return text.String()
}

// clusterText is a configuration with %[1]s for the listener's address, %[2]s
// and %[3]s for those of admin and metrics.
func clusterText(kind, endpoints, rest string) string {
	if endpoints != "" {
		endpoints = "  endpoints:\n" + endpoints
	}
	return "admin: {address: %[2]q}\nmetrics: {address: %[3]q}\nreadiness: {address: \"\"}\nlog: {level: error}\n" +
		"listeners:\n- name: l\n  address: %[1]s\n  filter_chains:\n  - tcp_proxy: {cluster: ratings}\n" +
		"clusters:\n- name: ratings\n  type: " + kind + "\n" + endpoints + rest
}

// helper is a running process of a benchmark.
type helper struct {
	cmd     *exec.Cmd
	addr    netip.AddrPort // that it listens on
	admin   string
	metrics string
	file    string // the configuration of a sluice
}

func (p *helper) stop() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
}

// start runs a program that prints its address at the end of a line.
func start(b *testing.B, cmd *exec.Cmd, env []string) *helper {
	b.Helper()
	cmd.Env, cmd.Stderr = append(os.Environ(), env...), os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		b.Fatal(err)
	}
	p := &helper{cmd: cmd}
	b.Cleanup(p.stop)
	line, err := bufio.NewReader(out).ReadString('\n')
	words := strings.Fields(line)
	if err == nil {
		p.addr, err = netip.ParseAddrPort(words[len(words)-1])
	}
	if err != nil {
		b.Fatalf("%v: %q: %v", cmd.Args, line, err)
	}
	return p
}

func startRole(b *testing.B, role string) *helper {
	return start(b, exec.Command(os.Args[0]), []string{roleVar + "=" + role})
}

func buildBench(b *testing.B) string {
	path := filepath.Join(b.TempDir(), "sluicebench")
	if out, err := exec.Command("go", "build", "-o", path, "../cmd/sluicebench").CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	return path
}

// sluice starts a daemon of a clusterText, and waits until it answers.
func sluice(b *testing.B, text string, env ...string) *helper {
	b.Helper()
	var addrs [3]string
	for i := range addrs {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		defer l.Close()
		addrs[i] = l.Addr().String()
		l.Close()
	}
	file := filepath.Join(b.TempDir(), "sluice.yaml")
	p := &helper{cmd: exec.Command(os.Getenv(binaryVar), "run", "-c", file),
		addr: netip.MustParseAddrPort(addrs[0]), admin: addrs[1], metrics: addrs[2], file: file}
	p.configure(b, text)
	p.cmd.Env, p.cmd.Stderr = append(os.Environ(), env...), os.Stderr
	if err := p.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(p.stop)
	for deadline := time.Now().Add(30 * time.Second); ; {
		conn, err := net.Dial("tcp", p.metrics)
		if err == nil {
			conn.Close()
			return p
		}
		if time.Now().After(deadline) {
			b.Fatal(err)
		}
		let(b, 10*time.Millisecond)
	}
}

// configure writes a clusterText for a sluice's own addresses.
func (p *helper) configure(b *testing.B, text string) {
	b.Helper()
	if err := os.WriteFile(p.file, fmt.Appendf(nil, text, p.addr, p.admin, p.metrics), 0o600); err != nil {
		b.Fatal(err)
	}
}

// settle lets a daemon that has just started come to rest.
func (p *helper) settle(b *testing.B) { let(b, 2*time.Second) }

func let(b *testing.B, d time.Duration) {
	select {
	case <-b.Context().Done():
	case <-time.After(d):
	}
}

// metric adds up the samples of a family.
func (p *helper) metric(b *testing.B, family string) float64 {
	b.Helper()
	response, err := http.Get("http://" + p.metrics + "/stats/prometheus")
	if err != nil {
		b.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		b.Fatal(err)
	}
	sum := 0.0
	for line := range strings.Lines(string(body)) {
		name, value, ok := cutLast(strings.TrimSpace(line), " ")
		if bare, _, _ := strings.Cut(name, "{"); ok && bare == family {
			number, err := strconv.ParseFloat(value, 64)
			if err != nil {
				b.Fatal(err)
			}
			sum += number
		}
	}
	return sum
}

// heap is the least of some readings: garbage comes and goes.
func (p *helper) heap(b *testing.B) float64 {
	var list []felt
	for range 9 {
		list = append(list, felt{cpu: p.metric(b, "envoy_server_memory_allocated")})
	}
	return slices.MinFunc(list, func(x, y felt) int { return int(x.cpu - y.cpu) }).cpu
}

func (p *helper) resident(b *testing.B) float64 {
	pages, err := strconv.Atoi(p.proc(b, "statm")[1])
	if err != nil {
		b.Fatal(err)
	}
	return float64(pages * os.Getpagesize())
}

// cpu is the processor time that it has used, in seconds (proc(5), stat: utime
// and stime in hundredths).
func (p *helper) cpu(b *testing.B) float64 {
	fields := p.proc(b, "stat")
	user, err1 := strconv.Atoi(fields[13])
	system, err2 := strconv.Atoi(fields[14])
	if err1 != nil || err2 != nil {
		b.Fatal(fields)
	}
	return float64(user+system) / 100
}

func (p *helper) proc(b *testing.B, name string) []string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", p.cmd.Process.Pid, name))
	if err != nil {
		b.Fatal(err)
	}
	return strings.Fields(string(text))
}
