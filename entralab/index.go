package entralab

import "encoding/binary"

// index finds objects by an id. It holds places in the list of all objects,
// 4 bytes each and half of them free, where a map would hold ids and pointers.
// Nothing is ever taken out: an object that is gone keeps its place in the
// list, too.
type index struct {
	slots []uint32 // a place plus one, 0 for none; a power of two of them
}

// find returns the object with the id, or the zero T.
func find[T any](x *index, all []T, key func(T) guid, id guid) T {
	var none T
	if len(x.slots) == 0 {
		return none
	}
	for i := x.first(id); x.slots[i] != 0; i = (i + 1) & uint64(len(x.slots)-1) {
		if it := all[x.slots[i]-1]; key(it) == id {
			return it
		}
	}
	return none
}

// indexLast adds the last object of the list.
func indexLast[T any](x *index, all []T, key func(T) guid) {
	if 2*len(all) <= len(x.slots) {
		x.put(len(all)-1, key(all[len(all)-1]))
		return
	}
	x.slots = make([]uint32, max(16, 2*len(x.slots)))
	for place, it := range all {
		x.put(place, key(it))
	}
}

func (x *index) put(place int, id guid) {
	i := x.first(id)
	for x.slots[i] != 0 {
		i = (i + 1) & uint64(len(x.slots)-1)
	}
	x.slots[i] = uint32(place) + 1
}

// first is where the search begins. The ids are random, so they need no hash.
func (x *index) first(id guid) uint64 {
	return binary.LittleEndian.Uint64(id[:8]) & uint64(len(x.slots)-1)
}
