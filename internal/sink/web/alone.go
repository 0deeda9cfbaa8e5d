package web

import (
	"context"
	"strings"
	"sync"

	"github.com/credsmith/credsmith/internal/sink"
)

// held has one channel for each place that is replaced whole; it is full while
// somebody is at it.
var held sync.Map

// Alone waits until nobody else in this process reads and writes back a place
// that is replaced whole, whatever the case of its name: two rotations that
// change different parts of it would undo each other's write. op says for
// people what it is for. Other processes are not kept out.
func Alone(ctx context.Context, place, op string) (release func(), err error) {
	one, _ := held.LoadOrStore(strings.ToLower(place), make(chan struct{}, 1))
	turn := one.(chan struct{})
	if ctx.Err() == nil {
		select {
		case turn <- struct{}{}:
			return func() { <-turn }, nil
		case <-ctx.Done():
		}
	}
	return nil, &sink.Error{Op: op, Kind: sink.Unreachable, Err: context.Cause(ctx)}
}
