package test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"
)

// pair is both ends of a live connection whose bytes are checked all the time.
type pair struct {
	client, server *net.TCPConn
	moved          atomic.Int64 // bytes of the client that have arrived
	stop           chan struct{}
	done           chan error
}

// openPair opens a connection, and has it relayed.
func openPair(w *world, v *way) *pair {
	w.Helper()
	client, server := v.open(w)
	return newPair(client, server)
}

func newPair(client, server *net.TCPConn) *pair {
	return &pair{client: client, server: server, stop: make(chan struct{}), done: make(chan error, 1)}
}

// run moves bytes until finish: by stream or by chat.
func (p *pair) run(seed uint64, how func(seed uint64) error) {
	go func() { p.done <- how(seed) }()
}

// end stops what run began, and returns what was wrong with the bytes.
func (p *pair) end() error {
	close(p.stop)
	return <-p.done
}

// finish is end for those who want no error.
func (p *pair) finish(t testing.TB) {
	t.Helper()
	if err := p.end(); err != nil {
		t.Errorf("a live connection, after %d bytes: %v", p.moved.Load(), err)
	}
	p.client.Close()
	p.server.Close()
}

func (p *pair) stopped() bool {
	select {
	case <-p.stop:
		return true
	default:
		return false
	}
}

// stream sends a pattern as fast as it goes, with a hash at either end.
func (p *pair) stream(seed uint64) error {
	sent := make(chan [32]byte, 1)
	failed := make(chan error, 1)
	go func() {
		from, hash, chunk := pattern(seed, 1<<60), sha256.New(), make([]byte, 256<<10)
		var err error
		for err == nil && !p.stopped() {
			if _, err = io.ReadFull(from, chunk); err == nil {
				hash.Write(chunk)
				_, err = p.client.Write(chunk)
			}
		}
		sent <- [32]byte(hash.Sum(nil))
		failed <- errors.Join(err, p.client.CloseWrite())
	}()
	hash := sha256.New()
	_, err := io.Copy(io.MultiWriter(hash, counter{&p.moved}), p.server)
	if err != nil {
		p.server.Close() // or the sender would wait
	}
	if want := <-sent; err == nil && [32]byte(hash.Sum(nil)) != want {
		err = errors.New("what has arrived is not what was sent")
	}
	return errors.Join(err, <-failed)
}

// chat sends small messages, one at a time, each of them echoed.
func (p *pair) chat(seed uint64) error {
	const size = 100
	from, message, back := pattern(seed, 1<<60), make([]byte, size), make([]byte, size)
	for !p.stopped() {
		if _, err := io.ReadFull(from, message); err != nil {
			return err
		}
		for _, way := range [][2]*net.TCPConn{{p.client, p.server}, {p.server, p.client}} {
			if _, err := way[0].Write(message); err != nil {
				return err
			}
			if _, err := io.ReadFull(way[1], back); err != nil {
				return err
			}
			if string(back) != string(message) {
				return fmt.Errorf("a message has arrived changed")
			}
		}
		p.moved.Add(size)
	}
	if err := p.client.CloseWrite(); err != nil {
		return err
	}
	// The client's FIN comes before the server's, also by another way.
	rest, err := io.ReadAll(p.server)
	if len(rest) > 0 {
		err = errors.Join(err, fmt.Errorf("%d bytes after the last message", len(rest)))
	}
	return err
}

// counter adds up what is written to it.
type counter struct{ n *atomic.Int64 }

func (c counter) Write(b []byte) (int, error) {
	c.n.Add(int64(len(b)))
	return len(b), nil
}
