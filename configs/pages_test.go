package configs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/config/native"
)

// TestPagesLoad loads each block of YAML on the pages as part of a
// configuration, so that nobody copies what sluice refuses.
func TestPagesLoad(t *testing.T) {
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := make(map[string]int)
	for _, page := range append(pages, "../README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range strings.Split(string(text), "\n```yaml\n")[1:] {
			block, _, _ := strings.Cut(part, "\n```")
			blocks[filepath.Base(page)]++
			if _, err := native.Parse(page, []byte(whole(block)), native.Options{}); err != nil {
				t.Errorf("%v\n%s", err, whole(block))
			}
		}
	}
	if blocks["health.md"] < 3 {
		t.Errorf("health.md has %d blocks of YAML; is this test looking for them?", blocks["health.md"])
	}
}

// whole puts a block where it belongs, by its first key.
func whole(block string) string {
	key := ""
	for line := range strings.Lines(block) {
		if key, _, _ = strings.Cut(line, ":"); !strings.HasPrefix(line, "#") {
			break
		}
	}
	switch key {
	case "health_checks", "outlier_detection":
		return "clusters:\n- name: page\n  endpoints: [{address: 10.4.1.12:9080}]\n" + indent(block, "  ")
	case "rbac":
		return "clusters: [{name: page}]\nlisteners:\n- name: page\n  address: 0.0.0.0:15006\n  filter_chains:\n" +
			"  - tcp_proxy: {cluster: page}\n" + indent(block, "    ")
	}
	return block + "\n"
}

func indent(block, by string) string { return by + strings.ReplaceAll(block, "\n", "\n"+by) + "\n" }
