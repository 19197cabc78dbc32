/* mbedTLS cut to what tls.c uses as a client: TLS 1.2, ECDHE-PSK, ChaCha20-Poly1305, SHA-256.
 * Agents for boards and for Windows build it with this in place of its own configuration
 * (rpc/mbedtls.cmake); what links Debian's library (libneo's programs here) does not see it. */
#ifndef NEO_RPC_TLS_CONFIG_H
#define NEO_RPC_TLS_CONFIG_H

#define MBEDTLS_HAVE_ASM
#define MBEDTLS_PLATFORM_C /* Windows needs it, others do not mind */

#define MBEDTLS_SSL_TLS_C
#define MBEDTLS_SSL_CLI_C
#define MBEDTLS_SSL_PROTO_TLS1_2
#define MBEDTLS_SSL_EXTENDED_MASTER_SECRET
#define MBEDTLS_KEY_EXCHANGE_ECDHE_PSK_ENABLED

#define MBEDTLS_CIPHER_C
#define MBEDTLS_CHACHA20_C
#define MBEDTLS_POLY1305_C
#define MBEDTLS_CHACHAPOLY_C
#define MBEDTLS_MD_C
#define MBEDTLS_SHA256_C

#define MBEDTLS_BIGNUM_C
#define MBEDTLS_ECP_C
#define MBEDTLS_ECP_NIST_OPTIM
#define MBEDTLS_ECP_DP_CURVE25519_ENABLED
#define MBEDTLS_ECP_DP_SECP256R1_ENABLED
#define MBEDTLS_ECDH_C
#define MBEDTLS_HMAC_DRBG_C /* blinds curves where nobody gives random numbers; we do */

#include <mbedtls/check_config.h>

#endif
