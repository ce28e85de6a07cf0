package stage

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/sluiceproxy/sluice/bench"
)

// scrapeTimeout bounds one look at the metrics.
const scrapeTimeout = 10 * time.Second

// Scrape returns sluice's metrics page. Others have none that is read.
func (r *Running) Scrape(ctx context.Context) (string, error) {
	if r.Subject.Name != bench.Sluice {
		return "", fmt.Errorf("scrape %s: only sluice's metrics are read", r.Subject.Name)
	}
	text, err := r.get(ctx, "/stats/prometheus")
	if err != nil {
		return "", fmt.Errorf("read the metrics on %s: %w", r.plan.Metrics, err)
	}
	return text, nil
}

// get fetches a page by hand: a connection belongs to the namespace in which it
// was made, and an http.Client would make it in a goroutine of its own.
func (r *Running) get(ctx context.Context, path string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.plan.Metrics.String()+path, nil)
	if err != nil {
		return "", err
	}
	request.Close = true
	conn, err := r.place.proxy.dial(r.place.cast, r.plan.Metrics, scrapeTimeout)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(scrapeTimeout)); err != nil {
		return "", err
	}
	if err := request.Write(conn); err != nil {
		return "", err
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %s: %s", response.Status, text)
	}
	return string(text), err
}
