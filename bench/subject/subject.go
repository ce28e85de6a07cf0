package subject

import (
	"fmt"

	"github.com/sluiceproxy/sluice/bench"
)

// Subject is one thing to compare, as it was found on this machine.
type Subject struct {
	Name    string // one of Names
	Version string // as the program states it; empty for bench.Direct
	Program string // the path; empty for bench.Direct

	module string // nginx: the file of the stream module, if that is not built in
}

// Names are the subjects that there can be, in the order of reports.
func Names() []string {
	return []string{bench.Direct, bench.Sluice, bench.Nginx, bench.HAProxy, bench.HAProxySplice, bench.Envoy}
}

// Lacks says why the subject cannot be measured in a mode. It is empty when it
// can.
func (s *Subject) Lacks(m bench.Mode) string {
	if s.Name != bench.Nginx {
		return ""
	}
	switch m {
	case bench.Redirect:
		return "nginx does not ask for SO_ORIGINAL_DST: under REDIRECT $server_addr is its own address, not where the connection wanted to go"
	case bench.TProxy:
		return "nginx has no listening sockets with IP_TRANSPARENT"
	}
	return ""
}

// programName is the file name of a subject's program.
func programName(name string) string {
	if name == bench.HAProxySplice {
		return bench.HAProxy
	}
	return name
}

// unknown is the error for a name that is not one of Names.
func unknown(name string) error {
	return fmt.Errorf("no subject %q: want one of %v", name, Names())
}
