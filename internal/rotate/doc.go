// Package rotate gives an app a new client secret, carries it to every place
// that holds the old one, proves it, and retires the old one on evidence.
//
// A [Rotation] is a row of a journal. [Engine.Advance] takes it one action
// further: at most one request to the outside and one durable write. What is
// about to happen is written down before it happens, and each action looks at
// the world before it acts, so that a process may die anywhere and the next
// one goes on. Nobody sleeps in here: a rotation that has to wait says until
// when ([Rotation.Wake]); [Engine.Drive] comes back then.
//
// The order of a rotation:
//
//	check    read the app, its policy and every sink
//	mint     add a secret, named so that it can be found; seal its value
//	accept   ask the token endpoint until it takes the value several times in a row
//	deliver  write it to each sink
//	verify   read it back from each sink
//	prove    ask the token endpoint again, over time, after the last write
//	reload   make consumers take it up, where a sink can
//	adopt    look in the sign-in log who uses which
//	overlap  wait until nobody uses the old secret
//	recheck  see that all of this still holds
//	retire   remove the old secret, by key id
//	gone     see that it is gone
//	shred    destroy the sealed values
//	close    done
//
// Until the old secret is retired a rotation can be undone: restore (put the
// old values back), restored (read them back), unmint (remove the new secret),
// unminted (see that it is gone), shred, close.
package rotate
