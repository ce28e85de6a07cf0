package daemon

import (
	"fmt"
	"slices"

	"go.uber.org/zap"

	"github.com/sluiceproxy/sluice/admin"
	"github.com/sluiceproxy/sluice/internal/handover"
	"github.com/sluiceproxy/sluice/internal/sock"
	"github.com/sluiceproxy/sluice/listener"
)

// inheritance are listening sockets that another process has made: the one before,
// one that was killed, or the service manager. Each is used by who listens on its address, or closed.
type inheritance struct {
	sockets []handover.ListenerSocket
	used    []bool // of sockets, at the same place
	stored  int    // from this place on they come from a store
}

func inherit(sockets []handover.ListenerSocket) *inheritance {
	return &inheritance{sockets: sockets, used: make([]bool, len(sockets)), stored: len(sockets)}
}

// add adds what a store had of a process that was killed.
func (h *inheritance) add(stored []handover.ListenerSocket) {
	h.sockets = append(h.sockets, stored...)
	h.used = append(h.used, make([]bool, len(stored))...)
}

// traffic takes the sockets on a listener's address, in the order of the loops that
// they had.
func (h *inheritance) traffic(ln *listener.Listener) []handover.ListenerSocket {
	var list []handover.ListenerSocket
	for i, s := range h.sockets {
		if !h.used[i] && s.Address == ln.Config.Address && (s.Kind == handover.Traffic || s.Kind == "") {
			h.used[i] = true
			list = append(list, s)
		}
	}
	slices.SortStableFunc(list, func(a, b handover.ListenerSocket) int { return a.Loop - b.Loop })
	return list
}

// server takes the socket of an HTTP port.
func (h *inheritance) server(s *admin.Server) (fd int, ok bool) {
	for i, socket := range h.sockets {
		named := socket.Kind == kindOf(s) && socket.Listener == s.Address()
		bare := socket.Kind == "" && socket.Address.String() == s.Address()
		if !h.used[i] && (named || bare) {
			h.used[i] = true
			return socket.FD, true
		}
	}
	return -1, false
}

// kept are the places of those that are used.
func (h *inheritance) kept() []int {
	kept := []int{}
	for i, used := range h.used {
		if used {
			kept = append(kept, i)
		}
	}
	return kept
}

// closeRest closes those that nobody listens on any more.
func (h *inheritance) closeRest(log *zap.Logger) {
	for i, used := range h.used {
		if !used {
			s := &h.sockets[i]
			log.Warn("a listening socket was passed on that the configuration has no use for; it is closed",
				zap.String("listener", s.Listener), zap.Stringer("address", s.Address))
			if i >= h.stored {
				sock.Disconnect(s.FD) // its address is free then, although the store still has it
			}
			sock.Close(s.FD)
			s.FD = -1
		}
	}
}

// kindOf is how an HTTP port's socket is told from others.
func kindOf(s *admin.Server) string {
	switch s.Key() {
	case "metrics.address":
		return handover.Metrics
	case "readiness.address":
		return handover.Readiness
	}
	return handover.Admin
}

// adopt makes acceptors of inherited sockets, one loop after the other. A loop may
// get several, if there were more loops before: closing one would reset who waits
// in its queue.
func (d *Daemon) adopt(ln *listener.Listener, sockets []handover.ListenerSocket) ([]*listener.Acceptor, error) {
	var made []*listener.Acceptor
	for i, s := range sockets {
		acceptor, err := listener.AdoptAcceptor(ln, d.entrance, i%len(d.loops), s.FD, s.Kept)
		if err != nil {
			closeAcceptors(made)
			for _, s := range sockets[i:] {
				sock.Close(s.FD)
			}
			return nil, fmt.Errorf("listener %s: using a socket that was passed on: %w", ln.Config.Name, err)
		}
		if d.before == nil { // who made it is dead, or the service manager
			acceptor.Alone()
		}
		made = append(made, acceptor)
	}
	return made, nil
}
