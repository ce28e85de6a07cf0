package listener

import (
	"fmt"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/listener/policy"
)

// namers are the filter chains of a listener whose rbac asks for the server
// name; nil: none does.
type namers map[int]struct{}

// newNamers finds them, and what is wrong with the rules of any chain. Paths of
// problems start at the listener's own keys.
func newNamers(cfg *config.Listener) (namers, config.Problems) {
	var found namers
	var problems config.Problems
	look := func(ordinal int, path string, chain *config.FilterChain) {
		if len(chain.RBAC) == 0 {
			return
		}
		rbac, wrong := policy.Compile(path+".rbac", policy.FromConfig(chain))
		problems = append(problems, wrong...)
		if !rbac.NeedsServerName() {
			return
		}
		if found == nil {
			found = make(namers)
		}
		found[ordinal] = struct{}{}
	}
	for i := range cfg.FilterChains {
		look(i, fmt.Sprintf("filter_chains[%d]", i), &cfg.FilterChains[i])
	}
	if cfg.DefaultFilterChain != nil {
		look(NoMatch, "default_filter_chain", cfg.DefaultFilterChain)
	}
	return found, problems
}

// needs tells which answers of inspection can still change what becomes of a
// connection: which chain takes it (Index.Needs), and, where that is known,
// whether the chain's rbac lets it through. Where it is not known yet, the TLS
// inspector looks in any case, and nothing has to be added.
func (l *Listener) needs(f *Facts) Needs {
	needs := l.index.Needs(f)
	if l.namers != nil && !needs.Any() && f.TransportProtocol == "" {
		_, needs.ServerName = l.namers[l.index.Match(f)]
	}
	return needs
}
