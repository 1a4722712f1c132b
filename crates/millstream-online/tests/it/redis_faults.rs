//! A Redis server that is not there, refuses, or goes away. These tests start servers of their own.
