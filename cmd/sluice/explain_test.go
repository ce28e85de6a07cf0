package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// explainCase is a question about one of the example configurations.
type explainCase struct {
	name   string // of the golden file
	config string // in configs
	args   string
}

func explainCases() []explainCase {
	const inbound = "--listener virtualInbound --src 10.4.9.9:40000 --dst 10.4.0.5:9080 "
	const tls = "--listener tls --src 10.4.9.9:40000 --dst 10.4.0.5:8443 "
	return []explainCase{
		{"sidecar-inbound", "sidecar", inbound},
		{"sidecar-outbound-ipv6", "sidecar", "--listener virtualOutbound-ipv6 --src [fd00::5]:40000 --dst [fd00::9]:9080"},
		{"sidecar-loop", "sidecar", "--listener virtualInbound --src 10.4.9.9:40000 --dst 127.0.0.1:15006"},
		{"sidecar-tproxy-inbound", "sidecar-tproxy", inbound},
		{"reference", "reference", "--listener example --src 10.4.9.9:40000 --dst 10.4.0.5:9081 --sni reviews.example --alpn h2"},
		{"bookinfo-inbound", "bookinfo-reviews", inbound},
		{"bookinfo-service", "bookinfo-reviews", "--listener virtualOutbound --src 10.4.0.5:40000 --dst 10.96.0.20:9080"},
		{"bookinfo-pod", "bookinfo-reviews", "--listener virtualOutbound --src 10.4.0.5:40000 --dst 10.4.1.12:9080"},
		{"gateway", "gateway", "--listener frontend --src 203.0.113.9:40000 --dst 10.4.0.5:8080"},
		{"failover", "failover", "--listener ratings --src 127.0.0.1:40000 --dst 127.0.0.1:9080"},
		{"failover-cluster", "failover", "--cluster ratings"},
		{"failover-zone-lost", "failover", "--cluster ratings --assume-unhealthy 10.4.1.12:9080,10.4.1.13:9080"},
		{"failover-region-lost", "failover", "--cluster ratings --assume-unhealthy 10.4.1.12:9080,10.4.1.13:9080,10.4.2.12:9080,10.4.2.13:9080"},
		{"failover-panic", "failover", "--cluster ratings --assume-unhealthy 10.4.1.12:9080,10.4.1.13:9080,10.4.2.12:9080,10.8.1.12:9080,10.8.1.13:9080"},
		{"failover-nobody", "failover", "--cluster ratings --assume-unhealthy 10.4.1.12:9080,10.4.1.13:9080,10.4.2.12:9080,10.4.2.13:9080,10.8.1.12:9080,10.8.1.13:9080"},
		{"two-stage-out", "two-stage", "--listener virtualOutbound --src 10.4.0.5:40000 --dst 10.4.1.12:9080"},
		{"two-stage-cluster", "two-stage", "--cluster outbound|9080||ratings.default.svc.cluster.local --assume-unhealthy 10.4.0.9:9080"},
		{"bookinfo-cluster", "bookinfo-reviews", "--cluster outbound|9080||ratings.default.svc.cluster.local"},
		{"sni-exact", "sni-routing", tls + "--sni Reviews.Example --alpn h2,http/1.1"},
		{"sni-hello", "sni-routing", tls + "--payload-hex @curl"},
		{"sni-half-a-hello", "sni-routing", tls + "--payload-hex 1603010200"},
		{"sni-silent", "sni-routing", tls + "--timed-out"},
		{"sni-unknown", "sni-routing", tls + "--sni other.test"},
		{"policy-allowed", "l4-policy", inbound + "--src 10.4.0.9:40000"},
		{"policy-quarantine", "l4-policy", inbound + "--src 10.4.0.66:40000"},
		{"policy-names", "l4-policy", "--listener virtualInbound --src 10.4.9.9:40000 --dst 10.4.0.5:9443 --sni internal.reviews.example"},
		{"policy-name-not-known", "l4-policy", "--listener virtualInbound --src 10.4.9.9:40000 --dst 10.4.0.5:9443"},
		{"policy-limits", "l4-policy", "--listener virtualInbound --src 10.4.0.9:40000 --dst 10.4.0.5:5432"},
		{"istio-mtls", "istio-inbound", inbound + "--transport tls --alpn istio --alpn h2"},
		{"istio-http", "istio-inbound", inbound + "--payload-hex 474554202f20 --payload-hex 485454502f312e310d0a"},
		{"istio-nothing-known", "istio-inbound", inbound},
		{"istio-timed-out", "istio-inbound", inbound + "--timed-out"},
		{"istio-server-first", "istio-inbound", "--listener virtualInbound --src 10.4.9.9:40000 --dst 10.4.0.5:3306"},
	}
}

// words splits a command line; @curl is a recorded ClientHello.
func words(t *testing.T, args string) []string {
	t.Helper()
	hello, err := os.ReadFile("../../listener/inspect/testdata/hello/curl-7.88.hex")
	if err != nil {
		t.Fatal(err)
	}
	list := strings.Fields(args)
	for i, word := range list {
		if word == "@curl" {
			list[i] = string(hello)
		}
	}
	return list
}

// TestExplainExamples asks about every example configuration, in both formats.
func TestExplainExamples(t *testing.T) {
	asked := make(map[string]bool)
	for _, c := range explainCases() {
		asked[filepath.Join("../../configs", c.config+".yaml")] = true
		t.Run(c.name, func(t *testing.T) {
			args := append([]string{"explain", "-c", "../../configs/" + c.config + ".yaml"}, words(t, c.args)...)
			var got strings.Builder
			for _, format := range []string{"text", "json"} {
				code, out, errs := line(t, append(args, "-o", format)...)
				if code != 0 || errs != "" {
					t.Fatalf("exit %d: %s", code, errs)
				}
				got.WriteString(out + "\n")
			}
			golden(t, filepath.Join("testdata/explain", c.name+".golden"), got.String())
		})
	}
	examples, err := filepath.Glob("../../configs/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, example := range examples {
		if !asked[example] {
			t.Errorf("nothing is asked about %s", example)
		}
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", file, got, want)
	}
}

// TestExplainPage runs the commands of docs/explain.md as a reader would, in the
// root of the repository, and compares what they print. With -update it writes
// the page.
func TestExplainPage(t *testing.T) {
	t.Chdir("../..")
	const page = "docs/explain.md"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```console\n\\$ sluice (.*?[^\\\\])\n.*?```\n")
	runs := 0
	got := block.ReplaceAllStringFunc(string(text), func(whole string) string {
		runs++
		command := block.FindStringSubmatch(whole)[1]
		args := strings.Fields(strings.ReplaceAll(command, "\\\n", " "))
		code, out, errs := line(t, args...)
		if code != 0 {
			t.Errorf("sluice %s: exit %d: %s", command, code, errs)
		}
		return "```console\n$ sluice " + command + "\n" + out + "```\n"
	})
	if runs < 5 || runs != strings.Count(string(text), "$ sluice") {
		t.Errorf("%d commands were run", runs)
	}
	golden(t, page, got)
}

func TestExplainUsage(t *testing.T) {
	good := "explain -c ../../configs/sni-routing.yaml --listener tls --src 10.4.9.9:40000 --dst 10.4.0.5:8443"
	broken := filepath.Join(t.TempDir(), "broken.yaml")
	if err := os.WriteFile(broken, []byte("listeners: [{name: a}]\nlisterners: []\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, args string
		code       int
		err        string
	}{
		{"no listener", "explain", 2, "--listener: which listener?"},
		{"unknown listener", good + " --listener nope", 2, `--listener: the configuration has no listener "nope"; it has tls`},
		{"no destination", "explain --listener a", 2, "--dst: is needed: IP:PORT"},
		{"no source", "explain --listener a --dst 1.2.3.4:5", 2, "--src: is needed: IP:PORT"},
		{"source without port", good + " --src 10.4.9.9", 2, `--src: must be IP:PORT, such as 10.4.0.5:9080 or [fd00::5]:9080, not "10.4.9.9"`},
		{"destination is a name", good + " --dst a.example:80", 2, "--dst: must be IP:PORT"},
		{"direct source with port", good + " --direct-src 1.2.3.4:5", 2, "--direct-src: must be an IP address without port"},
		{"transport", good + " --transport quic", 2, `--transport: must be tls or raw_buffer, not "quic"`},
		{"name without TLS", good + " --transport raw_buffer --sni a", 2, "--sni: a server name is known of TLS only"},
		{"empty protocol", good + " --alpn h2,,h3", 2, "--alpn: has an empty protocol"},
		{"odd hex", good + " --payload-hex 123", 2, "--payload-hex: must be an even number of hexadecimal digits"},
		{"not hex", good + " --payload-hex zz", 2, "--payload-hex: must be"},
		{"output", good + " -o yaml", 2, `--output: must be text or json, not "yaml"`},
		{"unknown flag", good + " --nope", 2, "--nope"},
		{"argument too many", good + " more", 2, "more"},
		{"no configuration", "explain --listener a --dst 1.2.3.4:5 --src 1.2.3.4:5", 2, "--config: which configuration?"},
		{"missing configuration", good + " -c /no/such/file", 1, "/no/such/file"},
		{"broken configuration", good + " -c " + broken, 1, broken + ":2: listerners:"},
		{"cluster and listener", good + " --cluster reviews", 2, "--cluster: does not go with --listener"},
		{"unknown cluster", "explain -c ../../configs/sni-routing.yaml --cluster nope", 2, `--cluster: there is no cluster "nope"`},
		{"no load to share", "explain -c ../../configs/sni-routing.yaml --cluster reviews --assume-unhealthy 1.2.3.4:5", 2, "--assume-unhealthy: "},
		{"unhealthy without cluster", good + " --assume-unhealthy 1.2.3.4:5", 2, "--assume-unhealthy: goes with --cluster"},
		{"the last one counts", good + " --transport raw_buffer --transport tls --sni x --sni reviews.example -o yaml -o json", 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, out, errs := line(t, strings.Fields(c.args)...)
			if code != c.code || !strings.Contains(errs, c.err) || (out != "") != (code == 0) {
				t.Errorf("exit %d, want %d with %q\nstdout: %s\nstderr: %s", code, c.code, c.err, out, errs)
			}
		})
	}
}
