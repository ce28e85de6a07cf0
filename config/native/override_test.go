package native

import (
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/config"
)

const overridable = `node: {id: file, cluster: file}
concurrency: 1
log: {level: warn, format: json}
admin: {address: 127.0.0.1:1}
drain: {time: 10s}
`

func TestOverridePrecedence(t *testing.T) {
	type precedenceCase struct {
		name    string
		environ []string
		flags   map[string]string
		want    func(*config.Config)
	}
	for _, tc := range []precedenceCase{
		{name: "file alone"},
		{
			name: "environment beats file",
			environ: []string{"SLUICE_CONCURRENCY=2", "SLUICE_LOG_LEVEL=error", "SLUICE_LOG_FORMAT=console", "SLUICE_ADMIN_ADDRESS=127.0.0.1:2",
				"SLUICE_DRAIN_TIME=20s", "SLUICE_NODE_ID=env", "SLUICE_NODE_CLUSTER=env"},
			want: func(c *config.Config) {
				c.Concurrency, c.Log, c.Admin.Address = 2, config.Log{Level: "error", Format: "console"}, "127.0.0.1:2"
				c.Drain.Time, c.Node = 20*time.Second, config.Node{ID: "env", Cluster: "env"}
			},
		},
		{
			name:    "flag beats environment",
			environ: []string{"SLUICE_CONCURRENCY=2", "SLUICE_NODE_ID=env", "SLUICE_NODE_CLUSTER=env"},
			flags:   map[string]string{"concurrency": "3", "node-id": "flag", "log-level": "debug", "log-format": "console", "admin-address": "unix:///x", "drain-time": "1m"},
			want: func(c *config.Config) {
				c.Concurrency, c.Node = 3, config.Node{ID: "flag", Cluster: "env"}
				c.Log, c.Admin.Address, c.Drain.Time = config.Log{Level: "debug", Format: "console"}, "unix:///x", time.Minute
			},
		},
		{
			name:    "an empty variable is not set, an empty flag is",
			environ: []string{"SLUICE_NODE_ID="},
			flags:   map[string]string{"node-cluster": ""},
			want:    func(c *config.Config) { c.Node.Cluster = "" },
		},
		{name: "unknown variables are ignored", environ: []string{"SLUICE_NOPE=1", "SLUICE_CONFIG=x", "CONCURRENCY=9", "odd"}},
		{name: "text that looks like another type stays text", flags: map[string]string{"node-id": "007"}, want: func(c *config.Config) { c.Node.ID = "007" }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			loaded, err := Parse("x.yml", []byte(overridable), Options{Environ: tc.environ, Flags: tc.flags})
			if err != nil {
				t.Fatal(err)
			}
			expected := config.Default()
			expected.Node = config.Node{ID: "file", Cluster: "file"}
			expected.Concurrency, expected.Log.Level = 1, "warn"
			expected.Admin.Address, expected.Drain.Time = "127.0.0.1:1", 10*time.Second
			if tc.want != nil {
				tc.want(&expected)
			}
			if got := *loaded.Config; got.Node != expected.Node || got.Concurrency != expected.Concurrency || got.Log != expected.Log ||
				got.Admin != expected.Admin || got.Drain != expected.Drain {
				t.Errorf("got  %+v\nwant %+v", got, expected)
			}
		})
	}
}

func TestBadOverridesNameTheirSource(t *testing.T) {
	_, err := Parse("x.yml", []byte(overridable), Options{
		Environ: []string{"SLUICE_CONCURRENCY=two", "SLUICE_LOG_LEVEL=loud", "SLUICE_DRAIN_TIME=-1s", "SLUICE_ADMIN_ADDRESS=nowhere"},
		Flags:   map[string]string{"drain-time": "soon", "log-format": "xml"},
	})
	want := `SLUICE_CONCURRENCY: concurrency: must be a whole number, not "two"
--drain-time: drain.time: must be a duration with a unit, such as 250ms, 5s or 1h30m, not "soon"
SLUICE_LOG_LEVEL: log.level: must be one of debug, info, warn, error, not "loud"
--log-format: log.format: must be one of json, console, not "xml"
SLUICE_ADMIN_ADDRESS: admin.address: must be host:port or unix:///path: "nowhere" has no port`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestOverridesAreConsistent(t *testing.T) {
	for _, o := range Overrides() {
		if env := "SLUICE_" + strings.ToUpper(strings.ReplaceAll(o.Flag, "-", "_")); o.Env != env {
			t.Errorf("flag %s has variable %s, want %s", o.Flag, o.Env, env)
		}
		if shapeAt(o.Key) == nil || o.Doc == "" {
			t.Errorf("flag %s has no key or no text", o.Flag)
		}
	}
}
