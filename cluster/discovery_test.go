package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/config"
)

// named makes a cluster of n names, kept by a keeper that does not run, when all
// of them are looked up.
func named(t *testing.T, n int) *Cluster {
	t.Helper()
	var hosts strings.Builder
	c := with(t, func(cfg *config.Cluster) {
		cfg.Type = config.ClusterStrictDNS
		for i := range n {
			e := config.DefaultEndpoint()
			e.Address = config.Host(fmt.Sprintf("app%d.example", i), 80)
			cfg.Endpoints = append(cfg.Endpoints, e)
			fmt.Fprintf(&hosts, "10.0.%d.%d app%d.example\n", i>>8, i&255, i)
		}
	})
	path := filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(path, []byte(hosts.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	t.Cleanup(func() { cancel(); running.Wait() })
	if err := NewKeeper(KeeperOptions{Hosts: path}).Keep(ctx, c, &running); err != nil {
		t.Fatal(err)
	}
	for _, w := range c.watches {
		<-w.First()
	}
	return c
}

// Answers of many names make one new set of endpoints, and not one each.
func TestAnswersGather(t *testing.T) {
	const names = 200
	c := named(t, names)
	before := c.Changes()
	c.keeper.round(time.Now())
	if total, _, _ := c.Membership(); total != names || before != 1 || c.Changes() != 2 {
		t.Errorf("%d endpoints after %d and %d changes, want %d after 1 and 2", total, before, c.Changes(), names)
	}
}

// Whoever waits for the first answers does not wait for the keeper's rest.
func TestWarmHasTheAnswers(t *testing.T) {
	c := named(t, 3)
	c.Warm(t.Context())
	if total, _, _ := c.Membership(); total != 3 {
		t.Errorf("%d endpoints, want 3", total)
	}
}
