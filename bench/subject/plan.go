package subject

import (
	"embed"
	"fmt"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"

	"github.com/sluiceproxy/sluice/bench"
)

// Ports that the capture rules of `sluice iptables apply` send connections to.
const (
	OutboundPort = 15001 // of what leaves the host, bench.Redirect
	InboundPort  = 15006 // of what comes to it, bench.TProxy
)

// Plan is what a configuration is made for.
type Plan struct {
	Mode        bench.Mode
	Workers     int            // event loops, worker processes or threads
	Connections int            // the most at a time; each takes two descriptors
	Listen      netip.AddrPort // of the proxy; in captured modes on a port that the rules send to
	Backend     netip.AddrPort // where Explicit connections are relayed to
	Admin       netip.AddrPort // sluice: its operators' API
	Metrics     netip.AddrPort // sluice: its metrics page
	Series      int            // sluice: about how many series that page has to have at least
	Dir         string         // where the configuration file is, and what the program writes
}

// spare is how many descriptors a program may need beside two for each
// connection: listening sockets, pipes to splice through, files.
const spare = 1000

// Descriptors is the limit on open descriptors that the plan needs.
func (p Plan) Descriptors() int { return 2*p.Connections + spare }

// Pipes is how many pipes are allowed for splicing: two descriptors each, and
// well within the spare ones.
func (p Plan) Pipes() int { return spare / 4 }

// seriesOfCluster is how many series sluice has for a cluster that is not used.
const seriesOfCluster = 64

// Fillers are the names of clusters that only make the metrics page longer.
func (p Plan) Fillers() []string {
	var names []string
	for n := 0; n*seriesOfCluster < p.Series; n++ {
		names = append(names, "filler-"+strconv.Itoa(n))
	}
	return names
}

//go:embed templates
var templates embed.FS

// Config writes the configuration for a plan. The file is to be written to
// Plan.Dir under the name that it states. bench.Direct has none.
func (s *Subject) Config(p Plan) (bench.Config, error) {
	if why := s.Lacks(p.Mode); why != "" {
		return bench.Config{}, fmt.Errorf("%s cannot be configured for mode %s: %s", s.Name, p.Mode, why)
	}
	if s.Name == bench.Direct {
		return bench.Config{Mode: p.Mode}, nil
	}
	file := fileName(s.Name)
	if file == "" {
		return bench.Config{}, unknown(s.Name)
	}
	source := programName(s.Name) + filepath.Ext(file) + ".tmpl"
	tmpl, err := template.New(source).Option("missingkey=error").ParseFS(templates, "templates/"+source)
	if err != nil {
		return bench.Config{}, fmt.Errorf("read the template of %s: %w", file, err)
	}
	var text strings.Builder
	err = tmpl.Execute(&text, struct {
		Plan
		Module string
		Splice bool
	}{p, s.module, s.Name == bench.HAProxySplice})
	if err != nil {
		return bench.Config{}, fmt.Errorf("write %s: %w", file, err)
	}
	return bench.Config{Mode: p.Mode, Command: s.command(p, filepath.Join(p.Dir, file)), File: file, Text: text.String()}, nil
}

func fileName(name string) string {
	switch name {
	case bench.Sluice, bench.Envoy:
		return name + ".yaml"
	case bench.Nginx:
		return name + ".conf"
	case bench.HAProxy, bench.HAProxySplice:
		return name + ".cfg"
	}
	return ""
}

// command is the command line that runs the subject in the foreground.
func (s *Subject) command(p Plan, file string) []string {
	switch s.Name {
	case bench.Sluice:
		return []string{s.Program, "run", "-c", file, "--log-level", "warn"}
	case bench.Nginx:
		return []string{s.Program, "-c", file}
	case bench.HAProxy, bench.HAProxySplice:
		return []string{s.Program, "-db", "-f", file}
	default:
		return []string{s.Program, "-c", file, "--concurrency", strconv.Itoa(p.Workers),
			"--disable-hot-restart", "--log-level", "error"}
	}
}
