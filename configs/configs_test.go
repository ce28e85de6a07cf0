package configs

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/config/native"
)

func load(t *testing.T, file string) *config.Config {
	t.Helper()
	loaded, err := native.Load(file, native.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return loaded.Config
}

func TestEveryExampleLoads(t *testing.T) {
	files, err := filepath.Glob("*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"bookinfo-reviews.yaml", "failover.yaml", "gateway.yaml", "istio-inbound.yaml", "l4-policy.yaml", "reference.yaml", "sidecar-tproxy.yaml", "sidecar.yaml", "sni-routing.yaml", "two-stage.yaml"}
	if len(files) != len(want) {
		t.Fatalf("examples are %v, want %v", files, want)
	}
	for _, file := range want {
		t.Run(file, func(t *testing.T) {
			if cfg := load(t, file); len(cfg.Listeners) == 0 || len(cfg.Clusters) == 0 {
				t.Error("has no listeners or no clusters")
			}
		})
	}
}

func TestSidecarIsTheFile(t *testing.T) {
	data, err := os.ReadFile("sidecar.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(data, Sidecar()) {
		t.Error("Sidecar() differs from sidecar.yaml")
	}
}

// clusterOf is the cluster that a listener's default chain leads to.
func clusterOf(t *testing.T, cfg *config.Config, listener string) config.Cluster {
	t.Helper()
	for _, l := range cfg.Listeners {
		if l.Name != listener {
			continue
		}
		for _, c := range cfg.Clusters {
			if c.Name == l.DefaultFilterChain.TCPProxy.Cluster {
				return c
			}
		}
	}
	t.Fatalf("no listener %s with a default cluster", listener)
	return config.Cluster{}
}

func TestSidecarsPassThrough(t *testing.T) {
	type passCase struct {
		file, listener, bind string
		transparent          bool
	}
	for _, tc := range []passCase{
		{file: "sidecar.yaml", listener: "virtualInbound", bind: "127.0.0.6"},
		{file: "sidecar.yaml", listener: "virtualInbound-ipv6", bind: "::6"},
		{file: "sidecar.yaml", listener: "virtualOutbound", bind: "invalid IP"},
		{file: "sidecar.yaml", listener: "virtualOutbound-ipv6", bind: "invalid IP"},
		{file: "sidecar-tproxy.yaml", listener: "virtualInbound", bind: "invalid IP", transparent: true},
		{file: "sidecar-tproxy.yaml", listener: "virtualInbound-ipv6", bind: "invalid IP", transparent: true},
		{file: "sidecar-tproxy.yaml", listener: "virtualOutbound", bind: "invalid IP"},
		{file: "bookinfo-reviews.yaml", listener: "virtualInbound", bind: "127.0.0.6"},
		{file: "bookinfo-reviews.yaml", listener: "virtualOutbound", bind: "invalid IP"},
	} {
		t.Run(tc.file+"/"+tc.listener, func(t *testing.T) {
			c := clusterOf(t, load(t, tc.file), tc.listener)
			if c.Type != config.ClusterOriginalDst || c.TransparentSource != tc.transparent || c.UpstreamBindAddress.String() != tc.bind {
				t.Errorf("got type %s, transparent %v, bind %v", c.Type, c.TransparentSource, c.UpstreamBindAddress)
			}
		})
	}
}
