package native

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"strings"
	"testing"
)

// manyChains is a configuration with n chains that inspection tells apart.
func manyChains(n int) []byte {
	var b strings.Builder
	b.WriteString("clusters:\n- {name: a, endpoints: [{address: 10.0.0.1:80}]}\nlisteners:\n- name: l\n  address: 127.0.0.1:1000\n  listener_filters: [tls_inspector]\n  filter_chains:\n")
	for i := range n {
		fmt.Fprintf(&b, "  - name: tenant-%d\n    match:\n      destination_port: %d\n      server_names: [reviews-%d.prod.svc.cluster.example]\n    tcp_proxy: {cluster: a}\n", i, 1+i%1000, i)
	}
	return []byte(b.String())
}

func BenchmarkLoad100000Chains(b *testing.B) {
	file := filepath.Join(b.TempDir(), "large.yaml")
	if err := os.WriteFile(file, manyChains(100000), 0o600); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	var loaded *Loaded
	before := heap()
	for b.Loop() {
		var err error
		if loaded, err = Load(file, Options{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(heap()-before)/1e6, "MB-held")
	runtime.KeepAlive(loaded)
}

func heap() uint64 {
	runtime.GC()
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}
