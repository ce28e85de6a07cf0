package test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// tide is live connections through sluice that all say a little, again and again.
// Half of them stream, with a hash at either end; half have messages echoed.
type tide struct {
	w     *world
	every time.Duration // a connection's interval
	stop  chan struct{}
	once  sync.Once
	all   sync.WaitGroup

	mu      sync.Mutex
	wrong   []error
	gaps    []*gap
	streams atomic.Int64 // that have ended well
	chats   atomic.Int64
}

// watched is the interval of the connections whose silences are measured.
const watched = 5 * time.Millisecond

// gap is the longest time between two replies on a connection.
type gap struct{ most atomic.Int64 }

// newTide opens the connections, and has them talk; some of those that echo talk
// more often, and are watched for silences.
func newTide(w *world, v *way, connections, watchers int, every time.Duration) *tide {
	w.Helper()
	t := &tide{w: w, every: every, stop: make(chan struct{})}
	w.Cleanup(t.halt)
	for number := range connections {
		client, server := v.open(w)
		for _, conn := range []*net.TCPConn{client, server} {
			if err := conn.SetDeadline(time.Time{}); err != nil {
				w.Fatal(err)
			}
		}
		switch {
		case number%2 == 0:
			t.run(func() error { return t.stream(client, server, uint64(number)) }, &t.streams)
		case number/2 < watchers:
			g := new(gap)
			t.gaps = append(t.gaps, g)
			t.run(func() error { return t.chat(client, server, watched, g) }, &t.chats)
		default:
			t.run(func() error { return t.chat(client, server, t.every, new(gap)) }, &t.chats)
		}
	}
	return t
}

func (t *tide) run(do func() error, well *atomic.Int64) {
	t.all.Go(func() {
		if err := do(); err != nil {
			t.mu.Lock()
			defer t.mu.Unlock()
			t.wrong = append(t.wrong, err)
			return
		}
		well.Add(1)
	})
}

// wait waits for a connection's next turn, and says whether there is one.
func (t *tide) wait(every time.Duration) bool {
	timer := time.NewTimer(every/2 + rand.N(every))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-t.stop:
		return false
	}
}

// stream sends pieces of any size, up to what fills sockets and pipes.
func (t *tide) stream(client, server *net.TCPConn, seed uint64) error {
	received := make(chan [32]byte, 1)
	failed := make(chan error, 1)
	go func() {
		hash := sha256.New()
		_, err := io.CopyBuffer(hash, struct{ io.Reader }{server}, make([]byte, 16<<10))
		received <- [32]byte(hash.Sum(nil))
		failed <- errors.Join(err, server.CloseWrite())
	}()
	from, hash := pattern(seed, 1<<60), sha256.New()
	var err error
	for err == nil && t.wait(t.every) {
		size := int64(1 + rand.IntN(4<<10))
		if rand.IntN(100) == 0 {
			size = 512 << 10
		}
		_, err = io.CopyN(io.MultiWriter(hash, client), from, size)
	}
	err = errors.Join(err, client.CloseWrite())
	if err != nil {
		client.Close()
		server.Close()
	}
	sum, failure := <-received, <-failed
	if err == nil && failure == nil && sum != [32]byte(hash.Sum(nil)) {
		return errors.New("a stream has arrived changed")
	}
	return errors.Join(err, failure)
}

// chat has messages echoed.
func (t *tide) chat(client, server *net.TCPConn, every time.Duration, g *gap) error {
	const size = 64
	echoed := make(chan error, 1)
	go func() {
		_, err := io.CopyBuffer(struct{ io.Writer }{server}, struct{ io.Reader }{server}, make([]byte, 1<<10))
		echoed <- errors.Join(err, server.CloseWrite())
	}()
	message, back := make([]byte, size), make([]byte, size)
	var err error
	for last := time.Now(); err == nil && t.wait(every); {
		for i := range message {
			message[i] = byte(rand.Uint32())
		}
		if _, err = client.Write(message); err == nil {
			_, err = io.ReadFull(client, back)
		}
		if err == nil && !bytes.Equal(message, back) {
			err = errors.New("a message has come back changed")
		}
		now := time.Now()
		g.most.Store(max(g.most.Load(), int64(now.Sub(last))))
		last = now
	}
	err = errors.Join(err, client.CloseWrite())
	if err != nil {
		client.Close()
		server.Close()
	}
	return errors.Join(err, <-echoed)
}

// silences are the longest gaps of the watched connections since the last call.
func (t *tide) silences() []time.Duration {
	var list []time.Duration
	for _, g := range t.gaps {
		list = append(list, time.Duration(g.most.Swap(0)))
	}
	return list
}

func (t *tide) halt() {
	t.once.Do(func() { close(t.stop) })
	t.all.Wait()
}

// failures are the connections that went wrong so far.
func (t *tide) failures() []error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.wrong)
}

// end ends all connections, and fails the test for each that went wrong.
func (t *tide) end() {
	t.w.Helper()
	t.halt()
	wrong := t.failures()
	for _, err := range wrong[:min(len(wrong), 10)] {
		t.w.Errorf("a live connection: %v", err)
	}
	if len(wrong) > 0 {
		t.w.Errorf("%d live connections went wrong, %d streams and %d dialogues went well", len(wrong), t.streams.Load(), t.chats.Load())
	}
}

// percentile is the value below which that share of a list lies, in 0 to 1.
func percentile(list []time.Duration, share float64) time.Duration {
	if len(list) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(list))
	return sorted[min(int(share*float64(len(sorted))), len(sorted)-1)]
}

// arrivals are new connections at a rate, each of which talks and closes.
type arrivals struct {
	w              *world
	served, failed atomic.Int64
	began          time.Time
	stop           chan struct{}
	stopping       sync.Once
	clients        sync.WaitGroup
	mu             sync.Mutex
	wrong          []error
}

// startArrivals begins them, so many a second as far as the machine can.
func startArrivals(w *world, address string, rate int) *arrivals {
	w.Helper()
	const clients = 16
	a := &arrivals{w: w, began: time.Now(), stop: make(chan struct{})}
	w.Cleanup(a.halt)
	for range clients {
		a.clients.Go(func() {
			tick := time.NewTicker(time.Second * clients / time.Duration(rate))
			defer tick.Stop()
			for {
				select {
				case <-tick.C:
					a.one(address)
				case <-a.stop:
					return
				}
			}
		})
	}
	return a
}

func (a *arrivals) one(address string) {
	conn, err := a.w.client.Dial("tcp", address)
	if err == nil {
		_, _, err = talk(conn)
		conn.Close()
	}
	if err == nil {
		a.served.Add(1)
		return
	}
	a.failed.Add(1)
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.wrong) < 10 {
		a.wrong = append(a.wrong, err)
	}
}

// more waits until so many more were served.
func (a *arrivals) more(n int64) {
	goal := a.served.Load() + n
	a.w.eventually(func() error {
		if now := a.served.Load(); now < goal {
			return fmt.Errorf("%d new connections were served, want %d", now, goal)
		}
		return nil
	})
}

func (a *arrivals) halt() {
	a.stopping.Do(func() { close(a.stop) })
	a.clients.Wait()
}

// end stops them, and fails the test for each that was not served.
func (a *arrivals) end() (rate float64) {
	a.w.Helper()
	a.halt()
	for _, err := range a.wrong {
		a.w.Errorf("a new connection: %v", err)
	}
	if n := a.failed.Load(); n > 0 {
		a.w.Errorf("%d new connections failed, %d were served", n, a.served.Load())
	}
	return float64(a.served.Load()) / time.Since(a.began).Seconds()
}
