package listener

import "github.com/sluiceproxy/sluice/config"

// NoMatch is what Index.Match returns when no filter chain takes the
// connection: the default chain has it, if there is one.
const NoMatch = -1

// Index finds the filter chain of a connection as Envoy's
// FilterChainManagerImpl does (source/common/listener_manager/
// filter_chain_manager_impl.cc). It looks at one criterion after another, in
// the order of the levels below. At each, the most specific value that any
// chain names and that the connection has decides, and chains that do not
// name the criterion are taken only when no chain's value fits. What was
// decided is never taken back: when a later criterion fails, nothing matches,
// though a chain that lost earlier might.
//
// An Index is a tree of tables, one table for each way that the levels before
// can be passed, in which levels that tell no chains apart are left out. It is
// immutable and safe for all loops; Match allocates nothing.
type Index struct {
	root        ref
	ports       []portTable   // of levels destinationPort and sourcePort
	prefixes    []prefixTable // of the three levels of addresses
	serverNames []serverNames
	transports  []transports
	protocols   []protocols
	sourceTypes []sourceTypes

	ways [applicationProtocol - serverName + 1][]branches // parallel to the tables of these levels; for Needs

	chains     []config.FilterChain // for Warnings
	hasDefault bool
}

// level is a criterion; their order is the order of matching. A further
// criterion takes its place here, with a case in walk, known, builder.constrains,
// builder.table, Facts.value and named.
type level uint8

const (
	destinationPort level = iota
	destinationPrefix
	serverName
	transportProtocol
	applicationProtocol
	directSourcePrefix
	sourceType
	sourcePrefix
	sourcePort
	decided // no criterion is left
)

// String is the criterion's key in the configuration.
func (l level) String() string {
	return [...]string{"destination_port", "prefix_ranges",
		"server_names", "transport_protocol", "application_protocols", "direct_source_prefix_ranges", "source_type",
		"source_prefix_ranges", "source_ports", ""}[l]
}

// ref says where the search goes on: at a level, in the table with that index
// among the tables of its kind. At level decided, index is the chain's ordinal
// or NoMatch. Asks is what the tables from there on can ask of inspection.
type ref struct {
	level level
	asks  asks
	index int32
}

func noChain() ref { return ref{level: decided, index: NoMatch} }

// NewIndex builds the index of a listener's chains, which must be normalised
// (config.Normalize). Chains that would take the same connections, and values
// that a chain names twice, are problems; Envoy refuses both too. Paths of
// problems start at the listener's own keys: filter_chains[2].match.
//
// Leaving an address criterion out is the same as naming both 0.0.0.0/0 and
// ::/0. So a chain for 0.0.0.0/0 and one for any address overlap, where Envoy
// accepts both and chooses one by chance. Without any chain there must be a
// default one.
func NewIndex(chains []config.FilterChain, hasDefault bool) (*Index, config.Problems) {
	b := newBuilder(chains, hasDefault)
	if len(chains) == 0 && !hasDefault {
		b.report("filter_chains", "at least one filter chain or a default_filter_chain is required")
	}
	b.index.root = b.build(destinationPort, b.ordinals())
	if len(b.problems) > 0 {
		return nil, b.problems
	}
	return b.index, nil
}

// Match is the ordinal of the chain that takes the connection, or NoMatch.
func (x *Index) Match(f *Facts) int { return x.from(x.root, f) }

// from goes on with a search to its end.
func (x *Index) from(at ref, f *Facts) int { return int(x.walk(at, f, decided).index) }

// walk goes on with a search until it has passed all levels before end.
func (x *Index) walk(at ref, f *Facts, end level) ref {
	for at.level < end {
		switch at.level {
		case destinationPort:
			at = x.ports[at.index].find(f.Destination.Port())
		case destinationPrefix:
			at = x.prefixes[at.index].find(f.Destination.Addr())
		case serverName:
			at = x.serverNames[at.index].find(f.ServerName)
		case transportProtocol:
			at = x.transports[at.index].find(f.TransportProtocol)
		case applicationProtocol:
			at = x.protocols[at.index].find(f.ApplicationProtocols)
		case directSourcePrefix:
			at = x.prefixes[at.index].find(f.DirectSource)
		case sourceType:
			at = x.sourceTypes[at.index].find(f)
		case sourcePrefix:
			at = x.prefixes[at.index].find(f.Source.Addr())
		case sourcePort:
			at = x.ports[at.index].find(f.Source.Port())
		}
	}
	return at
}
