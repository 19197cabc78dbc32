/* neo/neo_version.h: the one place of the version. */
#ifndef NEO_VERSION_H
#define NEO_VERSION_H

#define NEO_VERSION_TEXT "0.1.0"

#endif
