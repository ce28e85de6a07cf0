package test

import (
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The size of a large mesh: one chain for each port of a service.
const (
	manyChains   = 10_000
	manyClusters = 5_000
)

// BenchmarkReload is what reloads of 10,000 filter chains and 5,000 clusters take,
// and what live traffic feels of them: the same load without reloads, then with
// one each second in which a few chains and clusters differ, then with one each
// second in which all differ, by turns on one sluice. What anything that computes
// does to the load on this machine is told by a stranger: a process that has
// nothing to do with sluice and computes for 0.4 s of each second.
//
//	go test ./test -run '^$' -bench Reload -benchtime 7x -timeout 30m
func BenchmarkReload(b *testing.B) {
	bench := buildBench(b)
	backend := start(b, exec.Command(bench, "backend", "--listen", "0.0.0.0:0"), nil)
	for kind, rate := range map[string]string{"requests": "4000", "connections": "1000"} {
		b.Run(kind, func(b *testing.B) {
			m := startLargeMesh(b, backend.addr.Port())
			load := func() felt { return m.load(b, bench, "6s", "--kind", kind, "--rate", rate) }
			ways := []func() felt{load,
				func() felt { return m.during(b, &m.few, load) },
				func() felt { return m.during(b, &m.all, load) },
				func() felt { return besideStranger(b, load) }}
			var rounds [4][]felt
			for i := 0; b.Loop(); i++ {
				for k := range ways {
					which := (i + k) % len(ways)
					rounds[which] = append(rounds[which], ways[which]())
				}
			}
			b.ReportMetric(0, "ns/op")
			for which, name := range []string{"still", "few", "all", "stranger"} {
				reportFelt(b, name, rounds[which], rounds[0])
			}
		})
	}
}

// reportFelt reports figures of one kind of reloads, beside those of none.
func reportFelt(b *testing.B, name string, list, still []felt) {
	b.ReportMetric(middle(list, func(f felt) float64 { return f.Latency.P50 / 1e3 }), name+"-µs-p50")
	b.ReportMetric(middle(list, func(f felt) float64 { return f.Latency.P99 / 1e3 }), name+"-µs-p99")
	b.ReportMetric(middle(list, func(f felt) float64 { return f.Latency.P999 / 1e3 }), name+"-µs-p99.9")
	b.ReportMetric(middle(list, func(f felt) float64 { return f.cpu * 100 }), name+"-%cpu")
	if name == "still" {
		return
	}
	if name != "stranger" {
		b.ReportMetric(middle(list, func(f felt) float64 { return f.reload * 1e3 }), name+"-ms/reload")
	}
	ratios := make([]felt, len(list))
	for i := range ratios {
		ratios[i].cpu = list[i].Latency.P999 / still[i].Latency.P999
	}
	b.ReportMetric(middle(ratios, func(f felt) float64 { return f.cpu }), name+"-p99.9-ratio")
}

// largeMesh is a sluice with the configuration of a large mesh. Each has two forms, by
// which a few of the chains and clusters differ, or all.
type largeMesh struct {
	*helper
	texts    [2][2]string // by few, all
	few, all int
}

func startLargeMesh(b *testing.B, port uint16) *largeMesh {
	m := &largeMesh{}
	for few := range m.texts {
		for all := range m.texts[few] {
			m.texts[few][all] = meshText(few, all, port)
		}
	}
	m.helper = sluice(b, m.texts[0][0])
	m.settle(b)
	return m
}

// during reloads each second while a load runs, each time with the other form. It
// tells the median of the times that reloads took.
func (m *largeMesh) during(b *testing.B, form *int, load func() felt) felt {
	var took []felt
	stop, changes := make(chan struct{}), sync.WaitGroup{}
	changes.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			*form = 1 - *form
			m.configure(b, m.texts[m.few][m.all])
			began := time.Now()
			m.reload(b)
			took = append(took, felt{reload: time.Since(began).Seconds()})
		}
	})
	f := load()
	close(stop)
	changes.Wait()
	f.reload = middle(took, func(f felt) float64 { return f.reload })
	return f
}

// besideStranger lets a process of its own compute for 0.4 s of each second while a
// load runs.
func besideStranger(b *testing.B, load func() felt) felt {
	const script = "while :; do timeout --foreground 0.4 sh -c 'while :; do :; done'; sleep 0.6; done"
	stranger := exec.Command("sh", "-c", script)
	stranger.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := stranger.Start(); err != nil {
		b.Fatal(err)
	}
	f := load()
	if err := syscall.Kill(-stranger.Process.Pid, syscall.SIGKILL); err != nil {
		b.Error(err)
	}
	_ = stranger.Wait() // it was killed
	return f
}

func (m *largeMesh) reload(b *testing.B) {
	response, err := http.Post("http://"+m.admin+"/reload", "", nil)
	if err != nil {
		b.Error(err)
		return
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); err != nil || response.StatusCode != http.StatusOK {
		b.Errorf("reload: status %d: %s (%v)", response.StatusCode, body, err)
	}
}

// meshText is a clusterText of a mesh: an outbound listener whose chains are told
// apart by the services' addresses and ports, each fourth also by server names,
// two chains for each cluster. few and all are numbers by which a few of the
// chains and clusters, or all of them, differ.
func meshText(few, all int, port uint16) string {
	var text strings.Builder
	text.WriteString("admin: {address: %[2]q}\nmetrics: {address: %[3]q}\nreadiness: {address: \"\"}\nlog: {level: error}\n" +
		"listeners:\n- name: outbound\n  address: %[1]s\n  direction: outbound\n  listener_filters: [tls_inspector]\n  filter_chains:\n" +
		"  - {name: live, match: {prefix_ranges: [127.0.0.1/32]}, tcp_proxy: {cluster: live}}\n")
	const changing = 1000 // each of so many changes with few
	for i := range manyChains {
		service := i / 2
		match := fmt.Sprintf("destination_port: %d\n      prefix_ranges: [%v/32]", 8080+i%2, serviceAddress(service))
		if i%4 == 0 {
			match += fmt.Sprintf("\n      server_names: [%s]", serviceName(service))
		}
		fmt.Fprintf(&text, "  - name: %q\n    match:\n      %s\n    tcp_proxy: {cluster: %q, idle_timeout: %ds}\n",
			fmt.Sprintf("outbound|%d||%s", 8080+i%2, serviceName(service)), match, clusterName(service), 3600+all+few*one(i%changing == 0))
	}
	fmt.Fprintf(&text, "clusters:\n- {name: live, endpoints: [{address: 127.0.0.1:%d}]}\n", port)
	for i := range manyClusters {
		fmt.Fprintf(&text, "- name: %q\n  connect_timeout: %dms\n  endpoints:\n", clusterName(i), 5000+all+few*one(i%changing == 1))
		for k := range 3 {
			fmt.Fprintf(&text, "  - address: %v\n", netip.AddrPortFrom(endpointAt(i*3+k), 8080))
		}
	}
	return text.String()
}

func clusterName(service int) string { return "outbound|8080||" + serviceName(service) }

func serviceName(service int) string {
	return fmt.Sprintf("service-%d.team-%d.svc.cluster.local", service, service%100)
}

func serviceAddress(service int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, 96, byte(service >> 8), byte(service)})
}

func one(yes bool) int {
	if yes {
		return 1
	}
	return 0
}
