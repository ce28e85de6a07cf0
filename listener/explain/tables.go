package explain

import (
	"fmt"

	"github.com/sluiceproxy/sluice/cluster"
	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/internal/stats"
	"github.com/sluiceproxy/sluice/listener"
)

// Tables are a configuration as the daemon serves it.
type Tables struct {
	listeners *listener.Table
	clusters  map[string]*cluster.Cluster
}

// NewTables makes the tables of a validated configuration. It binds nothing.
func NewTables(cfg *config.Config) (*Tables, error) {
	registry := stats.NewRegistry()
	t := &Tables{clusters: make(map[string]*cluster.Cluster)}
	for i := range cfg.Clusters {
		c, err := cluster.NewOffline(&cfg.Clusters[i])
		if err != nil {
			return nil, fmt.Errorf("making the tables of clusters[%d]: %w", i, err)
		}
		t.clusters[c.Name] = c
	}
	var problems config.Problems
	if t.listeners, problems = listener.NewTable(cfg.Listeners, registry); len(problems) > 0 {
		return nil, problems
	}
	return t, nil
}

// Explain answers a question. An error is a *QuestionError.
func (t *Tables) Explain(q Question) (*Answer, error) {
	if err := q.check(); err != nil {
		return nil, err
	}
	ln, err := t.listener(q.Listener)
	if err != nil {
		return nil, err
	}
	// As sockets tell them, and as the tables have them.
	q.Destination, q.Source = unmapped(q.Destination), unmapped(q.Source)
	w := &walk{tables: t, question: &q, listener: ln}
	w.answer.Detected.Inspection = Done
	w.run()
	return w.finish(), nil
}
