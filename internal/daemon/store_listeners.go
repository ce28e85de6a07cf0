package daemon

import (
	"slices"

	"github.com/sluiceproxy/sluice/internal/handover"
	"github.com/sluiceproxy/sluice/internal/sock"
	"github.com/sluiceproxy/sluice/listener"
)

// listeners are the listening sockets that the store had when it was opened. The
// caller owns them. Those that are not served from here on are dropped from the store
// by the next keepOnly.
func (k *keeping) listeners() []handover.ListenerSocket {
	if k == nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range k.sockets {
		if cookie, errno := sock.Cookie(k.sockets[i].FD); errno == 0 {
			k.listening[handover.ListenerName(cookie)] = true
		}
	}
	sockets := k.sockets
	k.sockets = nil
	return sockets
}

// leaveTo has the store drop the listening sockets that another process, which has
// taken over, does not accept from. The others are that one's.
func (k *keeping) leaveTo(shared [][]*listener.Acceptor) {
	if k == nil {
		return
	}
	theirs := make(map[*listener.Acceptor]bool)
	for _, list := range shared {
		for _, a := range list {
			theirs[a] = true
		}
	}
	for _, list := range k.daemon.acceptors {
		for _, a := range list {
			if cookie, errno := sock.Cookie(a.Descriptor()); !theirs[a] && errno == 0 {
				k.queue.Drop(handover.ListenerName(cookie))
			}
		}
	}
}

// keepOnly has the store keep the listening sockets of some acceptors, given by loop,
// and no others. Those that it is to drop are to be closed after it: as long as the
// store has them, the kernel goes on to give them connections.
func (k *keeping) keepOnly(lists ...[][]*listener.Acceptor) {
	if k == nil || k.paused.Load() {
		return
	}
	k.wantListeners(lists...)
	k.settle()
}

func (k *keeping) wantListeners(lists ...[][]*listener.Acceptor) {
	for i := range lists {
		lists[i] = slices.Clone(lists[i])
	}
	k.mu.Lock()
	k.wanted = lists
	k.mu.Unlock()
	k.storeListeners()
}

// storeListeners brings the store to what is wanted.
func (k *keeping) storeListeners() {
	k.mu.Lock()
	defer k.mu.Unlock()
	before := k.listening
	k.listening = make(map[string]bool)
	for _, list := range k.wanted {
		for number, acceptors := range list {
			k.daemon.loops[number].Do(func() {
				for _, a := range acceptors {
					k.storeListener(number, a, before)
				}
			})
		}
	}
	for name := range before {
		if !k.listening[name] {
			k.queue.Drop(name)
		}
	}
}

// storeListener stores one, on its loop's thread, unless the service manager keeps it.
// One that cannot be stored now is not: a crash costs it its queue.
func (k *keeping) storeListener(number int, a *listener.Acceptor, before map[string]bool) {
	fd := a.Descriptor()
	if fd < 0 || a.Kept() {
		return
	}
	cfg := a.Listener.Config
	entry, err := handover.EnrolListener(&handover.ListenerSocket{
		Listener: cfg.Name, Address: cfg.Address, Loop: number, Kind: handover.Traffic, FD: fd,
	})
	if err != nil || !before[entry.Name] && k.queue.Put(&entry) != nil {
		return
	}
	k.listening[entry.Name] = true
}

// but are the acceptors of all loops without some.
func but(acceptors [][]*listener.Acceptor, which func(*listener.Listener) bool) [][]*listener.Acceptor {
	others := make([][]*listener.Acceptor, len(acceptors))
	for number, list := range acceptors {
		for _, a := range list {
			if !which(a.Listener) {
				others[number] = append(others[number], a)
			}
		}
	}
	return others
}
