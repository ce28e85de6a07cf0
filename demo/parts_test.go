package main

import (
	"encoding/json"
	"net"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/config/native"
)

// TestTemplate shows that sluice takes the demo's configuration.
func TestTemplate(t *testing.T) {
	for _, m := range []mode{redirect, tproxy} {
		t.Run(string(m), func(t *testing.T) {
			text, err := renderConfig(m, "/tmp/access.log")
			if err != nil {
				t.Fatal(err)
			}
			loaded, err := native.Parse("sidecar.yaml", []byte(text), native.Options{})
			if err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			if got, want := string(loaded.Config.Listeners[0].InterceptionMode), string(m); got != want {
				t.Errorf("inbound interception is %s, want %s", got, want)
			}
			for _, c := range loaded.Config.Clusters[:2] {
				if c.Type != config.ClusterOriginalDst || c.TransparentSource != (m == tproxy) || c.UpstreamBindAddress.IsValid() != (m == redirect) {
					t.Errorf("inbound cluster %+v", c)
				}
			}
		})
	}
}

func TestMode(t *testing.T) {
	if err := mode("ebpf").check(); err == nil || !strings.Contains(err.Error(), "redirect or tproxy") {
		t.Errorf("an unknown mode: %v", err)
	}
}

// TestTalk has the demo's server and client speak to each other directly.
func TestTalk(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error)
	go func() { served <- greet("here", listener) }()
	var out strings.Builder
	if err := talk(listener.Addr().String(), 0, &out); err != nil {
		t.Fatal(err)
	}
	listener.Close()
	<-served
	var r report
	if err := json.Unmarshal([]byte(out.String()), &r); err != nil {
		t.Fatal(err)
	}
	if r.Answer.Host != "here" || r.Answer.Source != r.Local || r.Sent != talkSize || r.Received <= talkSize {
		t.Errorf("report %+v", r)
	}
}

func TestParseCurl(t *testing.T) {
	r, err := parseCurl(`{"host":"pod","source":"127.0.0.6:4711"}` + "\n10.4.0.9 40001 78 100 45")
	if err != nil {
		t.Fatal(err)
	}
	want := report{Local: "10.4.0.9:40001", Answer: answer{"pod", "127.0.0.6:4711"}, Sent: 78, Received: 145}
	if r != want {
		t.Errorf("got %+v, want %+v", r, want)
	}
	for _, bad := range []string{"", "<html>\n10.4.0.9 1 2 3 4", "{}\n10.4.0.9"} {
		if r, err := parseCurl(bad); err == nil {
			t.Errorf("%q gives %+v", bad, r)
		}
	}
}

func TestParseMetrics(t *testing.T) {
	samples, err := parseMetrics("# HELP a b\na{x=\"with blank\"} 7\n\nb 1.5e3\n")
	if err != nil {
		t.Fatal(err)
	}
	if len(samples) != 2 || samples[0] != (sample{`a{x="with blank"}`, 7}) || samples[1] != (sample{"b", 1500}) {
		t.Errorf("got %v", samples)
	}
	for _, bad := range []string{"a", "a b"} {
		if s, err := parseMetrics(bad); err == nil {
			t.Errorf("%q gives %v", bad, s)
		}
	}
}
