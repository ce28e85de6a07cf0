package cluster

import (
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/config"
)

// An endpoint costs at most 2 KiB of heap, with its configuration, checks, outlier
// detection and its part of the tables. Sockets are the kernel's.
func TestMemoryOfAnEndpoint(t *testing.T) {
	const most, count = 2 << 10, 5000
	for _, policy := range config.LBPolicies() {
		t.Run(string(policy), func(t *testing.T) {
			before := heap()
			c := kept(t, KeeperOptions{}, func(cfg *config.Cluster) {
				cfg.LBPolicy, cfg.Endpoints = policy, endpoints(slices.Repeat([]uint32{1, 3}, count/2))
				tcpCheck(cfg)
				cfg.HealthChecks[0].Type = config.HealthCheckHTTP
				cfg.HealthChecks[0].InitialJitter = 1000 * time.Hour // none is made
				o := config.DefaultOutlierDetection()
				cfg.OutlierDetection = &o
			})
			eventually(t, "the checks know the endpoints", func() bool { return c.checks.Verdict(count).State != 0 })
			c.renew(time.Now())
			each := (heap() - before) / count
			if each > most {
				t.Errorf("%d bytes for each endpoint, want at most %d", each, most)
			}
			runtime.KeepAlive(c)
		})
	}
}

// heap is what is in use.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
