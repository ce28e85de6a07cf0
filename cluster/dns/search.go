package dns

import (
	"context"
	"errors"
	"fmt"
	"net"

	wire "github.com/miekg/dns"

	"github.com/sluiceproxy/sluice/config"
)

// finding is what became of one family of one name: addresses, or a failure,
// or neither when nobody wanted to know.
type finding struct {
	section
	err *Failure
}

// findings are those of both families.
type findings struct{ v4, v6 finding }

// failure is that of a lookup without any address.
func (f findings) failure(name string) error {
	if err := worse(f.v4.err, f.v6.err); err != nil {
		return err
	}
	return &Failure{Name: name, Kind: KindEmpty, Err: errors.New("it has no address of the wanted families")}
}

// silent says whether the name may exist without our knowing. NXDOMAIN for one
// family is for all (RFC 8020), though servers are known that drop questions
// for the other one.
func (f findings) silent() bool {
	quiet := false
	for _, err := range []*Failure{f.v4.err, f.v6.err} {
		if err != nil && err.Kind == KindNotFound {
			return false
		}
		quiet = quiet || err != nil && err.silent
	}
	return quiet
}

// search asks for the candidates of a name, one after the other, until one has
// addresses. It goes on after a server's no and, as glibc and c-ares, after a
// server's error, but not after silence: then it is not known whether the
// candidate exists, and a later one may be somebody else.
func (r *Resolver) search(ctx context.Context, name string, family config.LookupFamily) findings {
	conf := r.settings()
	var failed findings
	for _, candidate := range conf.candidates(name) {
		f := r.both(ctx, &conf, candidate, family)
		if _, ok := choose(family, f.v4.section, f.v6.section); ok {
			return f
		}
		failed.v4.err = worse(failed.v4.err, f.v4.err)
		failed.v6.err = worse(failed.v6.err, f.v6.err)
		if f.silent() || ctx.Err() != nil {
			break
		}
	}
	return failed
}

// both asks for the wanted families of an absolute name at the same time. Once
// the preferred one has addresses the other one is not waited for.
func (r *Resolver) both(ctx context.Context, conf *resolvConf, name string, family config.LookupFamily) findings {
	var f findings
	other, cancel := context.WithCancel(ctx)
	defer cancel()
	switch family {
	case config.LookupV4Only:
		f.v4 = r.ask(ctx, conf, name, wire.TypeA)
		return f
	case config.LookupV6Only:
		f.v6 = r.ask(ctx, conf, name, wire.TypeAAAA)
		return f
	case config.LookupAll:
		v4 := r.start(ctx, conf, name, wire.TypeA)
		v6 := r.start(ctx, conf, name, wire.TypeAAAA)
		return findings{v4: <-v4, v6: <-v6}
	case config.LookupV4Preferred:
		v6 := r.start(other, conf, name, wire.TypeAAAA)
		f.v4 = <-r.start(ctx, conf, name, wire.TypeA)
		f.v6 = unlessFound(f.v4, v6, cancel)
	default:
		v4 := r.start(other, conf, name, wire.TypeA)
		f.v6 = <-r.start(ctx, conf, name, wire.TypeAAAA)
		f.v4 = unlessFound(f.v6, v4, cancel)
	}
	return f
}

func unlessFound(preferred finding, other <-chan finding, cancel context.CancelFunc) finding {
	if len(preferred.addrs) == 0 {
		return <-other
	}
	cancel()
	<-other // its goroutine ends before the lookup does
	return finding{}
}

// start asks in a goroutine of its own, whose stack grows and goes, so that
// those of the watches stay small.
func (r *Resolver) start(ctx context.Context, conf *resolvConf, name string, qtype uint16) <-chan finding {
	result := make(chan finding, 1)
	go func() { result <- r.ask(ctx, conf, name, qtype) }()
	return result
}

// ask goes through the servers, as often as resolv.conf says, until one has an
// answer that counts.
func (r *Resolver) ask(ctx context.Context, conf *resolvConf, name string, qtype uint16) finding {
	first := 0
	if conf.rotate {
		first = int(r.turn.Add(1) % uint32(len(conf.servers)))
	}
	failure := &Failure{Name: name, Kind: KindServer, silent: true}
	for i := range conf.attempts * len(conf.servers) {
		server := conf.servers[(first+i)%len(conf.servers)]
		e := exchange{server: server, name: name, qtype: qtype, timeout: conf.timeout}
		answer, err := e.run(ctx, conf.useTCP)
		if err == nil {
			failure.silent = false
			if err = answer.problem(); err == nil {
				return settle(name, qtype, answer)
			}
			err = fmt.Errorf("%s: %w", server, err)
		}
		failure.Kind = KindServer
		if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
			failure.Kind = KindTimeout
		}
		failure.Err = fmt.Errorf("%s from %w", typeName(qtype), err)
		if ctx.Err() != nil {
			break
		}
	}
	return finding{err: failure}
}

// settle is the finding of an answer that counts.
func settle(name string, qtype uint16, answer reply) finding {
	switch {
	case len(answer.found.addrs) > 0:
		return finding{section: answer.found}
	case answer.rcode == wire.RcodeNameError:
		return finding{err: &Failure{Name: name, Kind: KindNotFound, Err: errors.New("no such name (NXDOMAIN)")}}
	}
	return finding{err: &Failure{Name: name, Kind: KindEmpty, Err: fmt.Errorf("the name has no %s records", typeName(qtype))}}
}
