package healthcheck

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/internal/sock"
)

// serverVariable makes this test binary a server of the benchmark's endpoints,
// so that their CPU time is not counted.
const serverVariable = "HEALTHCHECK_BENCH_SERVER"

// BenchmarkEndpoints checks 5,000 endpoints at an interval of 5 s for as long as
// a cycle and a half, after the first cycle, and tells what it cost.
//
//	go test ./healthcheck -run '^$' -bench Endpoints -benchtime 1x
func BenchmarkEndpoints(b *testing.B) {
	const endpoints = 5000
	for _, kind := range config.HealthCheckTypes() {
		if kind == config.HealthCheckGRPC {
			continue
		}
		b.Run(fmt.Sprintf("%s/endpoints=%d", kind, endpoints), func(b *testing.B) {
			c := config.DefaultHealthCheck()
			c.Type = kind
			server := startServer(b)
			for b.Loop() {
				measure(b, c, server, endpoints)
			}
		})
	}
}

func measure(b *testing.B, c config.HealthCheck, server netip.AddrPort, endpoints int) {
	r := newRig(b)
	before := heap()
	r.options.Changed, r.checker.options.Event = nil, nil
	r.options.Knock = func(a netip.AddrPort) (int, error) { return sock.Dial(a, &sock.DialOptions{DelayAck: true}) }
	g := r.checker.NewGroup("ratings", []config.HealthCheck{c}, r.options)
	targets := make([]Target, endpoints)
	for i := range targets {
		address := netip.AddrFrom4([4]byte{127, 1, byte(i >> 8), byte(i)})
		targets[i] = Target{ID: int32(i), Address: netip.AddrPortFrom(address, server.Port())}
	}
	g.Set(targets)
	let(b, c.Interval+firstWithin)
	cpu, began, first := cpuTime(b), time.Now(), g.Counts()
	let(b, c.Interval*3/2)
	cpu, took, last := cpuTime(b)-cpu, time.Since(began), g.Counts()
	b.ReportMetric(float64(cpu)/float64(took)*100, "%cpu")
	b.ReportMetric(float64(last.Attempt-first.Attempt)/took.Seconds(), "checks/s")
	b.ReportMetric(float64(cpu.Microseconds())/float64(last.Attempt-first.Attempt), "µs/check")
	b.ReportMetric(float64(last.Late), "late")
	b.ReportMetric(float64(last.Failure), "failed")
	b.ReportMetric(float64(heap()-before)/float64(endpoints), "B/endpoint")
	g.Close()
	runtime.KeepAlive(targets)
}

// let lets time pass.
func let(b *testing.B, d time.Duration) {
	select {
	case <-b.Context().Done():
	case <-time.After(d):
	}
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func startServer(b *testing.B) netip.AddrPort {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serverVariable+"=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	var text string
	if _, err := fmt.Fscanln(out, &text); err != nil {
		b.Fatal(err)
	}
	return netip.MustParseAddrPort(text)
}

// benchServer answers on all addresses of this host.
func benchServer() {
	l, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(l.Addr())
	for {
		conn, err := l.Accept()
		if err != nil {
			panic(err)
		}
		go func() {
			defer conn.Close()
			for headEnd([]byte(readRequest(&served{Conn: conn})), 0) > 0 {
				io.WriteString(conn, good)
			}
		}()
	}
}
