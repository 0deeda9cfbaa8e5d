package rotate

import (
	"context"
	"fmt"
)

// Point names a place where a process may die. A call to the outside has four:
// before it is sent (b), once the other side has received it (r), once the
// other side has done it (a), and once the answer is here (c). A commit has
// two: before and after.
type Point string

func before(commit string) Point     { return Point(commit + "/before") }
func after(commit string) Point      { return Point(commit + "/after") }
func beforeCall(call string) Point   { return Point(call + "/b") }
func afterCall(call string) Point    { return Point(call + "/c") }
func receivedCall(call string) Point { return Point(call + "/r") }
func appliedCall(call string) Point  { return Point(call + "/a") }

// Points lists every point of a rotation that runs forward, in order, with so
// many sinks that reload. r and a lie on the other side of a call: whoever
// plays that side knows the call by [CallOf].
func Points(sinks int) []Point {
	var all []Point
	commit := func(name string) { all = commitPoints(all, name) }
	call := func(name string) { all = callPoints(all, name) }
	commit("intent")
	commit("lease")
	call("check")
	commit("ask")
	call("mint")
	call("accept")
	for _, step := range []Step{Deliver, Verify} {
		for i := range sinks {
			call(at(step, i))
		}
	}
	call("prove")
	for i := range sinks {
		call(at(Reload, i))
	}
	call("adopt")
	commit("overlap")
	call("recheck")
	call("retire")
	call("gone")
	commit("shred")
	commit("close")
	return all
}

// PointsBack lists every point of the way back of a rotation, from a person's
// word on.
func PointsBack(sinks int) []Point {
	var all []Point
	all = commitPoints(all, "rollback")
	for i := range sinks {
		all = callPoints(all, at(Restore, i))
	}
	all = commitPoints(all, "restored")
	all = callPoints(all, "remove-stray")
	all = commitPoints(all, "unmint")
	all = callPoints(all, "unminted")
	all = commitPoints(all, "shred")
	return commitPoints(all, "close")
}

func commitPoints(all []Point, name string) []Point { return append(all, before(name), after(name)) }

// callPoints are those of a call and of the commit after it.
func callPoints(all []Point, name string) []Point {
	all = append(all, beforeCall(name), receivedCall(name), appliedCall(name), afterCall(name))
	return commitPoints(all, name)
}

// at names the i-th sink's part of a step.
func at(s Step, i int) string { return fmt.Sprintf("%s:%d", s, i+1) }

type callKey struct{}

func withCall(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, callKey{}, name)
}

// CallOf returns the name of the call that a request belongs to; "" if none.
func CallOf(ctx context.Context) string {
	name, _ := ctx.Value(callKey{}).(string)
	return name
}
