# mbedTLS for agents of other systems, out of Debian's source package (scripts/install-deps.sh leaves it in /usr/src/mbedtls): the
# few files that rpc/tls.c needs, cut down by rpc/tls_config.h. One way for all of them, since Debian has no library for
# musl and mingw, and its archives for other architectures need foreign package lists.

find_path(NEO_MBEDTLS_SOURCE library/ssl_tls.c PATHS /usr/src/mbedtls NO_DEFAULT_PATH)
if(NOT NEO_MBEDTLS_SOURCE)
  message(STATUS "agents for boards: without TLS, mbedTLS's sources are missing (scripts/install-deps.sh)")
endif()
set(NEO_MBEDTLS_FLAGS -isystem ${NEO_MBEDTLS_SOURCE}/include "-DMBEDTLS_CONFIG_FILE=\"rpc/tls_config.h\"")

# neo_mbedtls_objects(out dir compiler [flags...]): its objects in dir, compiled; flags are those of our own sources
function(neo_mbedtls_objects out dir compiler)
  set(objects)
  file(MAKE_DIRECTORY ${dir})
  foreach(name bignum chacha20 chachapoly cipher cipher_wrap constant_time ecdh ecp ecp_curves hmac_drbg md
          platform platform_util poly1305 sha256 ssl_ciphersuites ssl_cli ssl_msg ssl_tls)
    set(source ${NEO_MBEDTLS_SOURCE}/library/${name}.c)
    add_custom_command(OUTPUT ${dir}/${name}.o
      COMMAND ${CMAKE_C_COMPILER_LAUNCHER} ${compiler} ${ARGN} -Os ${NEO_MBEDTLS_FLAGS} -w -c ${source} -o ${dir}/${name}.o
      DEPENDS ${source} ${CMAKE_SOURCE_DIR}/rpc/tls_config.h VERBATIM)
    list(APPEND objects ${dir}/${name}.o)
  endforeach()
  set(${out} ${objects} PARENT_SCOPE)
endfunction()
