package dns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/sluiceproxy/sluice/config"
)

const (
	// maxLookups bounds the lookups that run at once, each with two sockets.
	maxLookups = 128
	// lookupTime bounds a lookup, whatever timeouts, attempts, servers and
	// search domains multiply to.
	lookupTime = 30 * time.Second
)

// Options are the settings of a Resolver.
type Options struct {
	// Resolvers are asked in this order. None: those of ResolvConf. An unset
	// port is 53.
	Resolvers []netip.AddrPort
	// ResolvConf and Hosts are the paths of the files; "" is those of /etc.
	// Search domains and options are those of ResolvConf in any case. A file
	// that is not there is as good as an empty one.
	ResolvConf, Hosts string
}

// Resolver looks names up. It is safe for any goroutine; one is enough for all
// clusters with the same Resolvers, and the bounds are for all of them
// together.
type Resolver struct {
	servers []netip.AddrPort // none: those of conf
	conf    reread[resolvConf]
	hosts   reread[hosts]
	turn    atomic.Uint32 // of option rotate
	slots   chan struct{}
	pace    pacer
	reports allowance
}

// NewResolver reads the files. An error says which setting is not usable, or
// which file cannot be read.
func NewResolver(o Options) (*Resolver, error) {
	r := &Resolver{
		conf:  reread[resolvConf]{path: orElse(o.ResolvConf, "/etc/resolv.conf"), parse: parseResolvConf},
		hosts: reread[hosts]{path: orElse(o.Hosts, "/etc/hosts"), parse: parseHosts},
		slots: make(chan struct{}, maxLookups),
	}
	for _, server := range o.Resolvers {
		if !server.Addr().IsValid() {
			return nil, errors.New("dns: a resolver has no address: write ADDRESS:PORT")
		}
		if server.Port() == 0 {
			server = netip.AddrPortFrom(server.Addr(), dnsPort)
		}
		r.servers = append(r.servers, server)
	}
	if _, err := r.conf.get(); err != nil {
		return nil, fmt.Errorf("dns: %w", err)
	}
	if _, err := r.hosts.get(); err != nil {
		return nil, fmt.Errorf("dns: %w", err)
	}
	return r, nil
}

func orElse(text, fallback string) string {
	if text == "" {
		return fallback
	}
	return text
}

// settings are those of resolv.conf, with our own servers if there are any.
// They stay as they were while the file cannot be read.
func (r *Resolver) settings() resolvConf {
	conf, _ := r.conf.get()
	c := *conf
	if len(r.servers) > 0 {
		c.servers = r.servers
	}
	return c
}

// Lookup asks for the addresses of a name. A name that is an IP address is its
// own answer, whatever the family; names from the hosts file and localhost are
// not asked for either. The error is a *Failure, or that of ctx.
//
// Half a failure is none: where one family has addresses and the other one
// could not be asked for, the answer is of the first.
func (r *Resolver) Lookup(ctx context.Context, name string, family config.LookupFamily) (Answer, error) {
	f, err := r.find(ctx, name, family)
	if err != nil {
		return Answer{}, err
	}
	a, ok := choose(family, f.v4.section, f.v6.section)
	if !ok {
		return Answer{}, f.failure(name)
	}
	return a, nil
}

// find looks a name up family by family. The error is that of ctx.
func (r *Resolver) find(ctx context.Context, name string, family config.LookupFamily) (findings, error) {
	if f, ok := r.local(name, family); ok {
		return f, nil
	}
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-ctx.Done():
		return findings{}, fmt.Errorf("look up %s: %w", name, ctx.Err())
	}
	bounded, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	f := r.search(bounded, name, family)
	if ctx.Err() != nil {
		return findings{}, fmt.Errorf("look up %s: %w", name, ctx.Err())
	}
	return f, nil
}

// local is what needs no server.
func (r *Resolver) local(name string, family config.LookupFamily) (findings, bool) {
	if addr, ok := literal(name); ok {
		one := finding{section: section{addrs: []netip.Addr{addr}}}
		// It stands for both families, so that none leaves it out.
		return findings{v4: one, v6: one}, true
	}
	if err := checkName(name); err != nil {
		f := finding{err: &Failure{Name: name, Kind: KindName, Err: err}}
		return findings{v4: f, v6: f}, true
	}
	table, _ := r.hosts.get()
	v4, v6 := table.sections(fold(name))
	if len(v4.addrs)+len(v6.addrs) == 0 && loopback(fold(name)) {
		v4.addrs = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}
		v6.addrs = []netip.Addr{netip.IPv6Loopback()}
	}
	_, ok := choose(family, v4, v6)
	return findings{v4: given(name, v4), v6: given(name, v6)}, ok
}

// given is what the hosts file says of a family. Nothing counts as well: there
// are no addresses of this family then.
func given(name string, s section) finding {
	if len(s.addrs) > 0 {
		return finding{section: s}
	}
	return finding{err: &Failure{Name: name, Kind: KindEmpty, Err: errors.New("the hosts file has no such address")}}
}
